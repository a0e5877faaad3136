/** TODO: the task, as the promise that the laws check. */
export function websocket(): string {
  throw new Error('websocket is yours to write: see this file and press h for a hint');
}
