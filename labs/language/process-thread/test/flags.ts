// A program of the laws, imported by the code of `node -e`: a thread of its processes prints its flags.
import { hybrid } from '#lab';
import type * as Kitchen from './kitchen.ts';

await using shop = hybrid<typeof Kitchen>({
  processes: 1,
  threadsPerProcess: 1,
  entry: new URL('./kitchen.ts', import.meta.url),
});
await shop.run({ dish: 'flags' });
