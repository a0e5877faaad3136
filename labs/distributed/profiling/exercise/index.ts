/** TODO: the task, as the promise that the laws check. */
export function profiling(): string {
  throw new Error('profiling is yours to write: see this file and press h for a hint');
}
