/** TODO: the task, as the promise that the laws check. */
export function mongoAggregation(): string {
  throw new Error('mongoAggregation is yours to write: see this file and press h for a hint');
}
