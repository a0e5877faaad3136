// One service as a process: `node main.ts content`. What it needs is in the environment; lists are parted by commas.
// It says its address in one line, and on SIGTERM leaves without losing a call.
import { serveContent, serveGateway, serveMedia, serveSearch, serveUsers } from './start.ts';
import { provide } from './vendor/tracing/start.ts';

const { env } = process;
const [name = ''] = process.argv.slice(2);
const need = (key: string): string => {
  const value = env[key];
  if (value === undefined || value === '') throw new RangeError(`${key} is not set: ${name} needs it.`);
  return value;
};
const list = (key: string) => need(key).split(',');
const onError = (error: unknown) => console.error(JSON.stringify({ service: name, error: String(error) }));
const common = { port: Number(env['PORT'] ?? 0), host: env['HOST'] ?? '127.0.0.1', onError };
const services = {
  content: () => serveContent({ ...common, database: need('DATABASE_URL'), search: list('SEARCH') }),
  search: () => serveSearch({ ...common, opensearch: need('OPENSEARCH_URL'), index: env['INDEX'] ?? 'cms-articles' }),
  media: () => serveMedia({ ...common, folder: need('FOLDER') }),
  users: () => serveUsers({ ...common, database: need('DATABASE_URL') }),
  gateway: () =>
    serveGateway({
      ...common,
      content: list('CONTENT'),
      search: list('SEARCH'),
      media: list('MEDIA'),
      users: list('USERS'),
    }),
};
const isService = (key: string): key is keyof typeof services => Object.hasOwn(services, key);
if (!isService(name)) throw new RangeError(`"${name}" is no service: ${Object.keys(services).join(', ')}.`);
// Spans go to OTEL_EXPORTER_OTLP_ENDPOINT, if there is one.
const tracing = env['OTEL_EXPORTER_OTLP_ENDPOINT'] ? provide({ service: name }) : undefined;
const service = await services[name]();
const leave = async () => {
  await service[Symbol.asyncDispose]();
  await tracing?.close();
  process.exit();
};
process.once('SIGTERM', leave).once('SIGINT', leave);
console.log(service.url);
