/** TODO: the task, as the promise that the laws check. */
export function webApi(): string {
  throw new Error('webApi is yours to write: see this file and press h for a hint');
}
