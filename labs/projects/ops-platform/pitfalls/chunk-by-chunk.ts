// Flaw: looks for secrets in each chunk of the output for itself, and a secret may lie in two of them.
// Seen in: log filters that mask line by line or write by write
// Caught by: a secret is in no output, wherever the output is cut into chunks
export * from '../src/index.ts';

import { Mask, Machine as Sound } from '../src/index.ts';

export class Machine extends Sound {
  protected override mask(secrets: readonly string[]): Pick<Mask, 'push' | 'end'> {
    return {
      push: (chunk) => {
        const mask = new Mask(secrets);
        return Buffer.concat([mask.push(chunk), mask.end()]);
      },
      end: () => Buffer.alloc(0),
    };
  }
}
