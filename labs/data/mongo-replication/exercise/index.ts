/** TODO: the task, as the promise that the laws check. */
export function mongoReplication(): string {
  throw new Error('mongoReplication is yours to write: see this file and press h for a hint');
}
