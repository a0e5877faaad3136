/** TODO: the task, as the promise that the laws check. */
export function resourceManagement(): string {
  throw new Error('resourceManagement is yours to write: see this file and press h for a hint');
}
