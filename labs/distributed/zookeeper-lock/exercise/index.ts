/** TODO: the task, as the promise that the laws check. */
export function zookeeperLock(): string {
  throw new Error('zookeeperLock is yours to write: see this file and press h for a hint');
}
