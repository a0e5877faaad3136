/** TODO: the task, as the promise that the laws check. */
export function messageQueue(): string {
  throw new Error('messageQueue is yours to write: see this file and press h for a hint');
}
