"""The verification of a proven comparison, step by step: docs/comparison.md section 7, same numbers and names."""

STEPS = {
    1: "format",
    2: "bundle a",
    3: "bundle b",
    4: "statement",
    5: "points",
    6: "similarity inputs",
    7: "similarity proof",
    8: "norms",
    9: "link inputs",
    10: "link proofs",
}
WHY = {
    1: "Every byte must have one meaning: two readers must not see two comparisons in it.",
    2: "A comparison of weights that nobody committed to honestly says nothing.",
    3: "The same for the other side.",
    4: "A comparison of two other models, or under other tokens, must not pass for this one.",
    5: "Sums over points that are not on the curve prove nothing.",
    6: "Ties the sums to the two committed vectors of terms S''.",
    7: "The public sums really are those of the two vectors, each entry in range.",
    8: "The scale integers c_t leave no freedom, so the stated error holds.",
    9: "Ties each S'' to the rows of its own bundle, and to challenges drawn after everything else.",
    10: "Shows that each S'' is the terms of its bundle's rows under P', which nobody knew before both commitments.",
}
