/** TODO: the task, as the promise that the laws check. */
export function metrics(): string {
  throw new Error('metrics is yours to write: see this file and press h for a hint');
}
