/** TODO: the task, as the promise that the laws check. */
export function auth(): string {
  throw new Error('auth is yours to write: see this file and press h for a hint');
}
