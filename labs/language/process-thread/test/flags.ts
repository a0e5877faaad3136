// A program of the laws, imported by the code of `node -e`: the flags that a thread of its processes has.
import { hybrid } from '#lab';
import type * as Kitchen from './kitchen.ts';

await using shop = hybrid<typeof Kitchen>({
  processes: 1,
  threadsPerProcess: 1,
  entry: new URL('./kitchen.ts', import.meta.url),
});
console.log(JSON.stringify(await shop.run({ dish: 'flags' })));
