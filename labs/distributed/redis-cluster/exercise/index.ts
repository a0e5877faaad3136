/** TODO: the task, as the promise that the laws check. */
export function redisCluster(): string {
  throw new Error('redisCluster is yours to write: see this file and press h for a hint');
}
