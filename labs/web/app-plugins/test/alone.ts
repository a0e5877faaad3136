// Builds a hall with the default limits (seconds), serves, closes it, and has nothing else to do: does the process end?
import { buildApp, definePlugin } from '../src/index.ts';

const lamp = definePlugin({
  name: 'lamp',
  setup: ({ app }) => {
    app.get('/', () => 'lit');
    return 'lamp';
  },
  teardown: () => {},
});
const app = await buildApp({ plugins: [lamp.with()], signal: new AbortController().signal });
await (await fetch(await app.listen({ host: '127.0.0.1', port: 0 }))).text();
await app.close();
console.log('closed');
