/** TODO: the task, as the promise that the laws check. */
export function tracing(): string {
  throw new Error('tracing is yours to write: see this file and press h for a hint');
}
