"""A bundle's verification, step by step: docs/protocol.md section 9, same numbers and names."""

STEPS = {
    1: "format",
    2: "statement",
    3: "points",
    4: "encoder input",
    5: "encoder proof",
    6: "norms",
    7: "link inputs",
    8: "link proof",
    9: "image",
    10: "srs",
    11: "opening",
    12: "signature",
}
OPENING_STEP = 11  # only if checkpoint and secret are given
WHY = {
    1: "Every byte must have one meaning: two readers must not see two bundles in it.",
    2: "Whoever may choose tokens, layers, projection or circuits can shop for a fingerprint; all are fixed.",
    3: "Sums over points that are not on the curve prove nothing.",
    4: "Ties the encoder's run to the committed terms S'.",
    5: "The public features really are the published encoder's output for that input.",
    6: "The scale integers c_t leave the maker no freedom: each term enters at the same size.",
    7: "Ties the link proof to the committed weight rows and to challenges drawn after them.",
    8: "Shows that S' is the HuRef terms of the committed rows, projected by P.",
    9: "The picture is the generator's output for the proven features, not one somebody drew.",
    10: "Whoever knows the secret behind an SRS can forge every proof above.",
    11: "The committed rows are those of this checkpoint.",
    12: "Only a signature shows who published it; proofs do not.",
}
PLAIN = {
    1: "The files are well formed",
    2: "Nothing was chosen to suit the maker",
    3: "Every committed point is valid",
    4: "The encoder read the committed terms",
    5: "The encoder was run as published",
    6: "Each term has the prescribed size",
    7: "The link proof is about the committed weights",
    8: "The terms come from the committed weights",
    9: "The picture is the one that the proofs give",
    10: "The setup of the proof system is trusted",
    11: "The committed weights are this checkpoint's",
    12: "Whoever was asked for published it",
}
