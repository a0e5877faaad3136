/** TODO: the task, as the promise that the laws check. */
export function migrations(): string {
  throw new Error('migrations is yours to write: see this file and press h for a hint');
}
