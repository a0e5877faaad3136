// Flaw: "made it async, so it doesn't block": the function runs on the only thread there is, a little later.
// Seen in: https://github.com/PrismarineJS/prismarine-world/pull/141
// Caught by: what is offloaded leaves the loop free, and its result or its error comes back
import type { FunctionName, Input, Output, offload as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const offload: typeof reference =
  <T extends object>(module: URL) =>
  async <K extends FunctionName<T>>(name: K, input: Input<T, K>): Promise<Output<T, K>> =>
    (await import(module.href))[name](input);
