"use strict";

// What is measured of a head: how each number is found in the X-ray, and what it means in one sentence.
//
// value     the number of a head; null or undefined where it was not measured
// interval  its 95% interval, where it has one
// digits    behind the decimal point
const MEASURES = [
  {
    group: "worth", key: "ablation", name: "bits", digits: 4,
    value: (head) => head.ablation.mean.bits,
    interval: (head) => [head.ablation.mean.low, head.ablation.mean.high],
    says: "How much the loss rises, in bits per character, when the head always writes its average output. " +
      "Below 0, the text is predicted better without the head.",
  },
  {
    group: "worth", key: "zero", name: "bits, by zero", digits: 4,
    value: (head) => head.ablation.zero.bits,
    interval: (head) => [head.ablation.zero.low, head.ablation.zero.high],
    says: "The same when the head writes nothing at all.",
  },
  {
    group: "worth", key: "shapley", name: "Shapley value", digits: 4,
    value: (head) => head.shapley?.bits,
    interval: (head) => head.shapley && [head.shapley.low, head.shapley.high],
    says: "The head's fair part of what attention is worth: what it adds in bits, averaged over all orders " +
      "in which the heads can be switched on. The values of all heads sum to the gain of attention.",
  },
  {
    group: "worth", key: "gradient", name: "gradient importance", digits: 4,
    value: (head) => head.gradient_importance,
    says: "How strongly the loss depends on the head's output, from a single backward pass (Michel et al. 2019).",
  },
  {
    group: "worth", key: "per_column", name: "bits per column", digits: 5,
    value: (head) => head.bits_per_column,
    says: "What the head is worth, by its Shapley value if there is one and else by the bits, divided by its " +
      "width: so wide and narrow heads can be compared.",
  },
  {
    group: "worth", key: "per_parameter", name: "bits per million parameters", digits: 2,
    value: (head) => scaled(head.bits_per_parameter, 1e6),
    says: "The same divided by the number of the head's weights, for a million of them.",
  },
  {
    group: "looks", key: "previous", name: "previous character", digits: 3,
    value: (head) => head.patterns.previous,
    says: "The part of its attention that goes to the character before the one just read, on the average.",
  },
  {
    group: "looks", key: "first", name: "first character", digits: 3,
    value: (head) => head.patterns.first,
    says: "The part that goes to the first character in view: where a head often looks when it finds nothing.",
  },
  {
    group: "looks", key: "same", name: "same character", digits: 3,
    value: (head) => head.patterns.same,
    says: "The part that goes to earlier occurrences of the same character.",
  },
  {
    group: "looks", key: "induction", name: "induction", digits: 3,
    value: (head) => head.patterns.induction,
    says: "In random characters that are repeated, the part that goes to what followed the same character last time.",
  },
  {
    group: "looks", key: "newline", name: "line start", digits: 3,
    value: (head) => head.patterns.newline,
    says: "The part that goes to characters that begin a line.",
  },
  {
    group: "looks", key: "word_start", name: "word start", digits: 3,
    value: (head) => head.patterns.word_start,
    says: "The part that goes to characters that begin a word.",
  },
  {
    group: "looks", key: "entropy", name: "entropy", digits: 3,
    value: (head) => head.entropy,
    says: "How widely its attention is spread, in nats: 0 where it looks at a single character.",
  },
  {
    group: "looks", key: "reach", name: "reach", digits: 2,
    value: (head) => head.reach,
    says: "How many characters it looks back, on the average.",
  },
  {
    group: "rank", key: "rank_qk", name: "rank of QK", digits: 2,
    value: (head) => head.rank.qk,
    says: "In how many directions it compares characters: the effective rank (Roy and Vetterli 2007) of its " +
      "query and key weights.",
  },
  {
    group: "rank", key: "use_qk", name: "utilisation of QK", digits: 3,
    value: (head) => head.utilisation.qk,
    says: "The rank of QK divided by the width: 1 where the head fills its width.",
  },
  {
    group: "rank", key: "rank_ov", name: "rank of OV", digits: 2,
    value: (head) => head.rank.ov,
    says: "In how many directions it can carry something over: the effective rank of its value and output weights.",
  },
  {
    group: "rank", key: "use_ov", name: "utilisation of OV", digits: 3,
    value: (head) => head.utilisation.ov,
    says: "The rank of OV divided by the width.",
  },
  {
    group: "rank", key: "rank_outputs", name: "rank of outputs", digits: 2,
    value: (head) => head.rank.outputs,
    says: "How many directions its outputs take on this text.",
  },
  {
    group: "rank", key: "use_outputs", name: "utilisation of outputs", digits: 3,
    value: (head) => head.utilisation.outputs,
    says: "The rank of outputs divided by the width.",
  },
  {
    group: "rank", key: "copying", name: "copying", digits: 3,
    value: (head) => head.copying,
    says: "1 where each character that it looks at becomes likelier, " + "\u22121 where it becomes less likely " +
      "(from the eigenvalues of the OV circuit).",
  },
];

// Of another text, by the model of the page; see Chosen.weighed.
MEASURES.push({
  group: "live", key: "weighed", name: "bits of the typed text, by zero", digits: 4,
  value: (head, index) => Chosen.weighed[index],
  says: "How much the loss of the typed text rises, in bits per character, when the head writes nothing at all.",
});

function scaled(value, factor) {
  return value === null || value === undefined ? value : value * factor;
}

const isMeasured = (measure, heads) => heads.some((head) => Number.isFinite(measure.value(head)));
const headName = (head) => `${head.layer + 1}.${head.head + 1}`;
const headInWords = (head) => `layer ${head.layer + 1}, head ${head.head + 1}`;
