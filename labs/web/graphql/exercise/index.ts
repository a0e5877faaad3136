/** TODO: the task, as the promise that the laws check. */
export function graphql(): string {
  throw new Error('graphql is yours to write: see this file and press h for a hint');
}
