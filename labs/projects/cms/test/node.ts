// One service of the magazine as a process, to be killed. It says its address in one line, and ends with whoever started it.
import { setTimeout as delay } from 'node:timers/promises';

const [service = '', options = '{}', impl = '../src/index.ts'] = process.argv.slice(2);
const lab: typeof import('../src/index.ts') = await import(impl);
const onError = () => {};
const starts: Readonly<
  Record<string, (o: never, parts: typeof lab) => Promise<{ readonly url: string } & AsyncDisposable>>
> = {
  content: lab.serveContent,
  search: lab.serveSearch,
  media: lab.serveMedia,
  users: lab.serveUsers,
  gateway: lab.serveGateway,
  old: async (o, parts) => (await import('./old/node.ts')).serveOld(o, parts),
};
const traced = process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] !== undefined;
// Before anything else is loaded; and not loaded where nobody asks for it.
const tracing = traced
  ? (await import('../src/vendor/tracing/start.ts')).provide({ service, delayMs: 100 })
  : undefined;
const given: unknown = { ...JSON.parse(options), onError };
const running = await starts[service]?.(given as never, lab);
if (running === undefined) throw new RangeError(`no service ${service}`);
const leave = async () => {
  await running[Symbol.asyncDispose]();
  await Promise.race([tracing?.close(), delay(1_000)]);
  process.exit();
};
process.once('SIGTERM', leave);
process.stdin.on('close', () => process.exit()).resume();
console.log(running.url);
