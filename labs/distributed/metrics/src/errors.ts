/** An argument that no metric, rule or panel can be made from. Nothing was registered. */
export class InvalidArgumentError extends Error {
  override readonly name = 'InvalidArgumentError';
}
