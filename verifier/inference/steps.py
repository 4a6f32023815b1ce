"""The verification of a feed-forward proof, step by step: docs/inference-proof.md section 7, same numbers and names."""

STEPS = {
    1: "format",
    2: "bundle",
    3: "statement",
    4: "points",
    5: "activation inputs",
    6: "activation proof",
    7: "link inputs",
    8: "link proof",
    9: "opening",
}
OPENING_STEP = 9  # only if checkpoint and secret are given
WHY = {
    1: "Every byte must have one meaning: two readers must not see two proofs in it.",
    2: "A block of weights that nobody committed to honestly says nothing.",
    3: "A proof about another model, block or circuit must not pass for this one.",
    4: "Sums over points that are not on the curve prove nothing.",
    5: "Ties the activation proof to the vectors that the link proof is about.",
    6: "The hidden entries are silu(gate) * up, entry by entry, and their products with the down rows are y.",
    7: "Ties gate and up entries to the committed rows and to x, and the weights to the down rows.",
    8: "Shows that these ties hold, for challenges drawn after everything else.",
    9: "The gate, the scale integers and epsilon are those of this checkpoint, as the bundle's rows are.",
}
