export { ExplainFailedError, IndexError, InvalidArgumentError, NotIndexedError } from './errors.ts';
export { type ExplainSummary, explainSummary, type Verdict } from './explain.ts';
export { assertIndexed, type Expectation, type Explainable } from './gate.ts';
export { type Direction, indexFor } from './order.ts';
export type { IndexUse } from './plan.ts';
export { indexedPrefix } from './regex.ts';
