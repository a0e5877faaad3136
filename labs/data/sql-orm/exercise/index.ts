/** TODO: the task, as the promise that the laws check. */
export function sqlOrm(): string {
  throw new Error('sqlOrm is yours to write: see this file and press h for a hint');
}
