import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { chooseOwn } from './choose.ts';
import { onceItListens } from './compose.ts';
import { FaultyNode } from './faults.ts';
import { archiveClasses, installJava, jvmFlags, madeOnce } from './java.ts';
import { EmbeddedServer, type Program, temporaryFolder } from './process.ts';
import { handle, pageOf } from './servers.ts';
import { oursAlone, type Service } from './service.ts';
import type { Node, Servers } from './types.ts';

/** A Zipkin of our own. It keeps its spans in memory: a killed one has forgotten them. */
export interface ZipkinServers extends Servers {
  /** Spans are POSTed to `url/api/v2/spans` as Zipkin's JSON; the page that draws traces is at `url/zipkin/`. */
  readonly url: string;
  readonly node: Node;
}

export interface ZipkinOptions {
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'zipkin';
const VERSION = '3.5.1';
const DEFAULT_PORT = 9411;
const START_MS = 120_000;
const HEAP_MB = 256;
const localUrl = (port: number) => `http://127.0.0.1:${port}`;

export const zipkin: Service = {
  name: NAME,
  // None: the spans of a lab have no place in a Zipkin of the user's, which can delete none.
  ...oursAlone('http', DEFAULT_PORT),
  jars: {
    // It is published as one jar that holds all others, and not without them.
    artifacts: [`io.zipkin:zipkin-server:${VERSION}:exec`],
    alone: true,
    lock: new URL('../jars/zipkin.sha256', import.meta.url),
  },
  version: async (program) => {
    const { jreOf } = await import('./jars.ts');
    return `${VERSION}, ${await jreOf(program)}`;
  },
  install: installJava,
};

/**
 * Starts a Zipkin of our own.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, BadSettingError, or the signal's reason
 */
export async function startZipkin(o: ZipkinOptions = {}): Promise<ZipkinServers> {
  const { signal } = o;
  signal?.throwIfAborted();
  const program = await chooseOwn(zipkin, 1, { signal });
  const [version, prepared] = await Promise.all([zipkin.version(program), prepare(program, signal)]);
  const folder = await temporaryFolder(NAME);
  try {
    const flags = await jvmFlags({ heapMb: HEAP_MB, folder: folder.path, archive: archiveIn(prepared) });
    const server = await startServer({ program, home: folder.path, app: appIn(prepared), flags, signal });
    const url = localUrl(server.port);
    const node = new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: server });
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version,
      count: 1,
      inspect: [`open ${url}/zipkin/`],
      faults: true,
      namespace: `labs-${randomBytes(4).toString('hex')}`,
      close: async () => {
        await node.close({ heal: false });
        await folder.settle();
      },
    });
    return { ...common, url, node };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

async function startServer(o: {
  program: Program;
  home: string;
  app: string;
  flags: readonly string[];
  signal: AbortSignal | undefined;
}): Promise<EmbeddedServer> {
  const { program, home, flags, signal } = o;
  const id = `labs-${randomBytes(6).toString('hex')}`;
  // By the same name wherever it lies: an archive of classes holds for the path that it was made under.
  await symlink(o.app, join(home, 'app'));
  const set = (settings: Readonly<Record<string, string | number>>) =>
    Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
  return EmbeddedServer.start({
    service: NAME,
    program,
    folder: home,
    args: (port) => [
      ...flags,
      ...set(SETTINGS),
      ...set({ 'armeria.ports[0].port': port, 'zipkin.ui.environment': id }),
      '-jar',
      join('app', JAR),
    ],
    signal,
    timeoutMs: START_MS,
    ready: ({ port }) =>
      onceItListens(port, async () => {
        // What its page shows in a corner: no stranger has it.
        const config = await pageOf(`${localUrl(port)}/zipkin/config.json`);
        return config.includes(id) && (await pageOf(`${localUrl(port)}/health`)) !== '';
      }),
  });
}

const SETTINGS = {
  // Without all three of the port's settings it listens on every address.
  'armeria.ports[0].ip': '127.0.0.1',
  'armeria.ports[0].protocols[0]': 'http',
  // Whatever this machine's environment says of a Zipkin or a Kafka: spans come by HTTP, and stay in memory.
  'zipkin.storage.type': 'mem',
  'zipkin.storage.mem.max-spans': 100_000,
  'zipkin.storage.search-enabled': 'true',
  'zipkin.collector.sample-rate': '1.0',
  'zipkin.collector.http.enabled': 'true',
  ...Object.fromEntries(
    ['activemq', 'grpc', 'kafka', 'pulsar', 'rabbitmq', 'scribe'].map((name) => [
      `zipkin.collector.${name}.enabled`,
      'false',
    ]),
  ),
  'zipkin.discovery.eureka.enabled': 'false',
  'zipkin.self-tracing.enabled': 'false',
  'zipkin.query.enabled': 'true',
  'zipkin.ui.enabled': 'true',
  'spring.main.banner-mode': 'off',
  'logging.level.root': 'WARN',
  'logging.level.com.linecorp.armeria.server.Server': 'WARN',
};

const JAR = 'zipkin.jar';
const appIn = (folder: string) => join(folder, 'app');
const archiveIn = (folder: string) => join(folder, 'classes.jsa');

/** The jars that the one jar holds, side by side, and the archive of their classes: it is of no use for jars in a jar. */
async function prepare(program: Program, signal: AbortSignal | undefined): Promise<string> {
  return madeOnce(NAME, program, signal, async (aside) => {
    await mkdir(aside);
    await unpack(program, aside, signal);
    await archiveClasses({
      service: NAME,
      archive: archiveIn(aside),
      signal,
      start: async (home, flag) => {
        const flags = [...(await jvmFlags({ heapMb: HEAP_MB, folder: home })), flag];
        await startServer({ program, home, app: appIn(aside), flags, signal });
      },
    });
  });
}

/** By Spring Boot's own tool, which is in the jar. */
async function unpack(program: Program, aside: string, signal: AbortSignal | undefined): Promise<void> {
  const jars = dirname(program.env?.['CLASSPATH'] ?? '');
  const name = (await readdir(jars)).find((one) => one.endsWith('.jar')) ?? '';
  const whole = join(aside, JAR);
  await writeFile(whole, withoutPrefix(await readFile(join(jars, name))));
  const flags = await jvmFlags({ heapMb: 64, folder: aside });
  const args = [...flags, '-Djarmode=tools', '-jar', whole, 'extract', '--destination', appIn(aside)];
  const options = { cwd: aside, env: { ...process.env, ...program.env }, ...(signal && { signal }) };
  await promisify(execFile)(program.path, args, options);
  await rm(whole);
}

/**
 * The jar without the shell script in front of it, which the tool does not take: all offsets in a zip file's directory
 * count from the beginning of the file (APPNOTE.TXT 4.3.12 and 4.3.16).
 */
function withoutPrefix(jar: Buffer): Buffer {
  const prefix = jar.indexOf('PK\x03\x04', 0, 'latin1');
  const rest = Buffer.from(jar.subarray(prefix));
  const last = rest.lastIndexOf('PK\x05\x06', undefined, 'latin1');
  const entries = rest.readUInt16LE(last + 10);
  let at = rest.readUInt32LE(last + 16) - prefix;
  rest.writeUInt32LE(at, last + 16);
  for (let entry = 0; entry < entries; entry += 1) {
    rest.writeUInt32LE(rest.readUInt32LE(at + 42) - prefix, at + 42);
    at += 46 + rest.readUInt16LE(at + 28) + rest.readUInt16LE(at + 30) + rest.readUInt16LE(at + 32);
  }
  return rest;
}
