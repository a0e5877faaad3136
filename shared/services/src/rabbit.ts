import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { exists } from './cache.ts';
import { choose } from './choose.ts';
import { COMPOSE_LOGIN, composeLever, containers } from './compose.ts';
import { LoginRefusedError, ServiceError, StartTimeoutError, UnreachableUrlError } from './errors.ts';
import { FaultyNode, type Lever } from './faults.ts';
import { borrow } from './lease.ts';
import { type Lendable, type Lender, ownProgram } from './lending.ts';
import { freePort } from './ports.ts';
import { EmbeddedServer, type Program, temporaryFolder } from './process.ts';
import { entrust } from './reaper.ts';
import { handle } from './servers.ts';
import { onPath, type Service } from './service.ts';
import type { Node, Origin, Servers } from './types.ts';

/** One RabbitMQ broker. */
export interface RabbitServers extends Servers {
  /** The URL of the broker's first virtual host, with user and password. */
  readonly url: string;
  readonly node: Node;
  /**
   * The URL of a new virtual host: queues and exchanges of nobody else. On a broker of the user's (`origin` is `url`) it
   * is `url` itself: keep to names that begin with `namespace` there, and delete them.
   */
  vhost(): Promise<string>;
  /**
   * Raises the broker's memory alarm, or lifts it: meanwhile it reads nothing more from a connection that publishes. Only
   * a broker of our own has it; none is lent again while it is raised.
   */
  alarm?(raised: boolean): Promise<void>;
}

export interface RabbitOptions {
  /** Insist on this port of 127.0.0.1: only a process of our own will do then. Default: a free one. */
  readonly port?: number;
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'rabbitmq';
const DEFAULT_PORT = 5672;
const ANSWER_MS = 3000;
/** An Erlang machine loads some thousand modules before it listens: 5 s alone on two cores, 20 s beside other work. */
const START_MS = 120_000;
const { user: USER, password: PASSWORD } = COMPOSE_LOGIN;
const localUrl = (port: number) => `amqp://${USER}:${PASSWORD}@127.0.0.1:${port}`;

export const rabbitmq: Service = {
  name: NAME,
  variable: 'AMQP_URL',
  several: false,
  keepsTo: 'virtual host',
  schemes: ['amqp:', 'amqps:'],
  defaultPort: DEFAULT_PORT,
  containers: containers.rabbitmq,
  containerUrl: localUrl,
  isOurContainer: async (url) => {
    await hello(url, 1000);
    return true;
  },
  find: async () => {
    const path = await onPath('rabbitmq-server');
    if (path === undefined) return undefined;
    // Debian's and Fedora's is a wrapper that becomes the user rabbitmq; the script that it wraps runs as anybody.
    const wrapped = '/usr/lib/rabbitmq/bin/rabbitmq-server';
    return { path: (await exists(wrapped)) ? wrapped : path };
  },
  apt: {
    packages: ['rabbitmq-server'],
    program: 'usr/lib/rabbitmq/bin/rabbitmq-server',
    // It knows no --version that does not start an Erlang machine.
    library: true,
    relocate: async (tree, final) => {
      const erl = join(tree, 'usr/lib/erlang/bin/erl');
      const script = await readFile(erl, 'utf8');
      await writeFile(erl, script.replaceAll('/usr/lib/erlang', join(final, 'usr/lib/erlang')));
    },
  },
  version: async ({ path }) => /rabbitmq_server-([\d.]+\d)/.exec(await realpath(path))?.[1] ?? 'unknown',
  install: {
    apt: 'sudo apt install rabbitmq-server',
    dnf: 'sudo dnf install rabbitmq-server',
    apk: 'sudo apk add rabbitmq-server',
    pacman: 'sudo pacman -S rabbitmq',
    brew: 'brew install rabbitmq',
  },
};

/**
 * Starts (or finds, see the order of choice) a RabbitMQ.
 * @throws MissingServerError, PortTakenError, ServerDiedError, StartTimeoutError, UnreachableUrlError,
 *   LoginRefusedError, BadSettingError, or the signal's reason
 */
export async function startRabbit(o: RabbitOptions = {}): Promise<RabbitServers> {
  o.signal?.throwIfAborted();
  const choice = await choose(rabbitmq, 1, { signal: o.signal, embedded: o.port !== undefined });
  if (choice.origin === 'embedded') return (await borrowed(o)) ?? (await startEmbedded(choice.program, o)).servers;
  if (choice.origin === 'url') {
    const why = `it is not ours: ${rabbitmq.variable} names it. Unset ${rabbitmq.variable} for the scenes that need faults.`;
    return adopt('url', choice.urls[0] ?? '', why);
  }
  const [container] = choice.containers;
  if (container === undefined) throw new RangeError('one container is chosen');
  const url = localUrl(container.port);
  return adopt('compose', url, await composeLever(NAME, container, () => answers(url)));
}

/** The broker stays; what was made in it goes. */
export const rabbitLender: Lender = {
  // Its start takes five seconds of a processor.
  most: 1,
  lend: async () => {
    const { servers, clear } = await startEmbedded(await ownProgram(rabbitmq), {});
    return lendable(servers, clear);
  },
};

function lendable(servers: RabbitServers, clear: () => Promise<void>): Lendable {
  const { node, url, inspect } = servers;
  const renew = async (): Promise<Lendable> => {
    await clear();
    return lendable(servers, clear);
  };
  const alarm = (raised: boolean) => async () => {
    await servers.alarm?.(raised);
    return '';
  };
  const calls = { vhost: () => servers.vhost(), alarm: alarm(true), calm: alarm(false) };
  return { servers, nodes: [node], urls: [url], inspect, namespace: newNamespace(), calls, renew };
}

async function borrowed(o: RabbitOptions): Promise<RabbitServers | undefined> {
  if (o.port !== undefined) return undefined;
  const loan = await borrow(NAME, {});
  const [url] = loan?.facts.urls ?? [];
  if (loan === undefined || url === undefined) return undefined;
  const node = new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: loan.lever(0) });
  const vhost = () => loan.call('vhost');
  const alarm = async (raised: boolean) => {
    await loan.call(raised ? 'alarm' : 'calm');
  };
  return { ...loan.handle(NAME, () => node.close({ heal: false })), url, node, vhost, alarm };
}

// epmd, Erlang's port mapper, is ours too: the one that Erlang starts by itself leaves our folder and outlives us.
// A broker that accepts input is the shell's successor instead of its child; it gets none, -noinput says.
const LAUNCH = `
export RABBITMQ_NODE_PORT="$1"
epmd -address 127.0.0.1 &
until epmd -names >/dev/null 2>&1; do kill -0 $! 2>/dev/null || exit 1; sleep 0.05; done
exec "$LABS_RABBITMQ"`;

interface Embedded {
  readonly servers: RabbitServers;
  /** Deletes everything in the broker: all virtual hosts but the first, which is made anew. */
  clear(): Promise<void>;
}

async function startEmbedded(installed: Program, o: RabbitOptions): Promise<Embedded> {
  const version = await rabbitmq.version(installed);
  const folder = await temporaryFolder(NAME);
  try {
    const id = `labs-${randomBytes(6).toString('hex')}`;
    const program = { path: '/bin/sh', env: await environment(installed, folder.path, id) };
    // In Erlang's own terms: to read a rabbitmq.conf, the broker first loads the schemas of all settings there are.
    await writeFile(join(folder.path, 'advanced.config'), SETTINGS);
    await writeFile(join(folder.path, 'enabled_plugins'), '[].');
    await writeFile(join(folder.path, 'env.conf'), '');
    const server = await EmbeddedServer.start({
      service: NAME,
      program,
      folder: folder.path,
      args: (port) => ['-c', LAUNCH, NAME, String(port)],
      port: o.port,
      signal: o.signal,
      timeoutMs: START_MS,
      ready: async ({ port }) => {
        // The broker presents itself with its cluster's name, which is the node's: no stranger has it.
        const ours = await hello(localUrl(port), ANSWER_MS).then(
          ({ greeting }) => greeting.includes(id),
          () => false,
        );
        if (!ours) await sleep(25);
        return ours;
      },
    });
    const url = localUrl(server.port);
    const node = new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: server });
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version,
      count: 1,
      inspect: [inspectLine(program.env, installed)],
      faults: true,
      namespace: newNamespace(),
      close: async () => {
        await node.close({ heal: false });
        await folder.settle();
      },
    });
    let last: Promise<unknown> = Promise.resolve();
    const create = async () => {
      const name = newVhost();
      await erlang(program.env, id, [`rabbit_vhost:add(<<"${name}">>, <<"${USER}">>)`, permissions(name)]);
      return `${url}/${name}`;
    };
    // One after another: two calls at once would go by one name.
    const vhost = () => {
      const mine = last.then(create);
      last = mine.catch(() => {});
      return mine;
    };
    const alarm = async (raised: boolean) => {
      const what = '{resource_limit, memory, node()}';
      // The second call is answered once the first has reached every connection.
      await erlang(program.env, id, [
        raised ? `rabbit_alarm:set_alarm({${what}, []})` : `rabbit_alarm:clear_alarm(${what})`,
        'rabbit_alarm:get_alarms()',
        'ok',
      ]);
    };
    const clear = async () => {
      await last;
      await erlang(program.env, id, [
        // An alarm that somebody set, or a user that somebody made, would fail here.
        '[] = rabbit_alarm:get_alarms()',
        '[_] = rabbit_auth_backend_internal:list_users()',
        `[rabbit_vhost:delete(V, <<"${USER}">>) || V <- rabbit_vhost:list_names()]`,
        `rabbit_vhost:add(<<"/">>, <<"${USER}">>)`,
        permissions('/'),
      ]);
    };
    return { servers: { ...common, url, node, vhost, alarm }, clear };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

const permissions = (vhost: string): string =>
  `rabbit_auth_backend_internal:set_permissions(<<"${USER}">>, <<"${vhost}">>, <<".*">>, <<".*">>, <<".*">>, <<"${USER}">>)`;

const SETTINGS = `[{rabbit, [
  {default_user, <<"${USER}">>},
  {default_pass, <<"${PASSWORD}">>},
  {disk_free_limit, 10000000},
  {log, [{console, [{enabled, true}, {level, warning}]}]}
]}].
`;

/** A node of its own: name, ports, cookie, data and settings, whatever this machine has in /etc/rabbitmq. */
async function environment(program: Program, folder: string, id: string): Promise<Record<string, string>> {
  const beside = join(dirname(program.path), '../../erlang/bin');
  const path = process.env['PATH'] ?? '';
  return {
    ...program.env,
    PATH: (await exists(beside)) ? `${beside}:${path}` : path,
    HOME: folder,
    LABS_RABBITMQ: program.path,
    ERL_EPMD_PORT: String(await freePort()),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: `${id}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_DIST_PORT: String(await freePort()),
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_CONFIG_FILES: join(folder, 'conf.d'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'advanced.config'),
    RABBITMQ_CONF_ENV_FILE: join(folder, 'env.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    ...((await linkPlugins(program, join(folder, 'plugins'))) && { RABBITMQ_PLUGINS_DIR: join(folder, 'plugins') }),
    RABBITMQ_ALLOW_INPUT: '1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: [
      '-noinput -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}',
      // Its threads sleep while they wait, instead of spinning beside whoever they wait for.
      '+sbwt none +sbwtdcpu none +sbwtdio none',
    ].join(' '),
  };
}

/**
 * Makes `folder` hold what a broker without plugins needs of those that came with it. Erlang looks for each of its
 * modules in all of their folders: with a third of them it starts in two thirds of the time. @returns false where they
 * are kept otherwise: then it starts with all of them
 */
async function linkPlugins(program: Program, folder: string): Promise<boolean> {
  const all = join(dirname(await realpath(program.path)), '../plugins');
  const names = await readdir(all).catch(() => []);
  const wanted = new Set(['rabbit', 'rabbitmq_prelaunch']);
  await mkdir(folder);
  for (const app of wanted) {
    const name = names.find((each) => each.startsWith(`${app}-`));
    if (name === undefined) {
      // One of Erlang's own, or unknown.
      if (app === 'rabbit' || app === 'rabbitmq_prelaunch') return false;
      continue;
    }
    const manifest = await readFile(join(all, name, 'ebin', `${app}.app`), 'utf8').catch(() => '');
    const [, needs] = /\{\s*applications\s*,\s*\[([^\]]*)\]/.exec(manifest) ?? [];
    if (needs === undefined) return false;
    for (const need of needs.match(/\w+/g) ?? []) wanted.add(need);
    await symlink(join(all, name), join(folder, name));
  }
  return true;
}

/** Has the broker's machine evaluate `calls`, by `erl_call`, which is a hundred times as fast as rabbitmqctl. */
async function erlang(env: Record<string, string>, id: string, calls: readonly string[]): Promise<void> {
  const all = { ...process.env, ...env };
  const erl = await realpath(
    (await Promise.all((env['PATH'] ?? '').split(':').map((at) => realpath(join(at, 'erl')).catch(() => '')))).find(
      (found) => found !== '',
    ) ?? 'erl',
  );
  const root = dirname(dirname(erl));
  const runtime = (await readdir(root)).find((name) => name.startsWith('erts-'));
  // In a release `erl` itself lies in the runtime's folder.
  const tool = runtime === undefined ? join(dirname(erl), 'erl_call') : join(root, runtime, 'bin', 'erl_call');
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = execFile(tool, ['-sname', `${id}@localhost`, '-e'], { env: all, timeout: 20_000 }, (error, stdout) => {
    if (error) reject(error);
    else resolve(stdout);
  });
  child.stdin?.on('error', () => {});
  child.stdin?.end(`${calls.join(', ')}.\n`);
  const answer = await promise;
  if (!/^\{ok, ok\}/.test(answer)) throw new RabbitCallError(calls.join(', '), answer);
}

/** The broker refused what it was asked by Erlang's own call. */
class RabbitCallError extends ServiceError {
  constructor(call: string, answer: string) {
    super(NAME, 'CALL_FAILED', `the broker answered "${answer.trim()}" to ${call}. Look at its log with --hold.`);
  }
}

/** A broker that runs already and is not ours to end: only our own virtual hosts are created, and deleted at the end. */
async function adopt(origin: Origin, url: string, lever: Lever | string): Promise<RabbitServers> {
  const { version } = await hello(url, ANSWER_MS);
  const node = new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever });
  const undo: { settle(): Promise<void> }[] = [];
  const common = handle({
    service: NAME,
    origin,
    version,
    count: 1,
    inspect: [
      origin === 'compose'
        ? `open http://127.0.0.1:${containers.rabbitmqManagement[0].port}   # ${USER}, ${PASSWORD}`
        : `rabbitmqctl list_queues   # on ${node.host}`,
    ],
    faults: typeof lever !== 'string',
    namespace: newNamespace(),
    close: async () => {
      await node.close({ heal: true });
      for (const each of undo) await each.settle().catch((error: unknown) => process.stderr.write(`${error}\n`));
    },
  });
  const vhost = async () => {
    if (origin === 'url') return url;
    const name = newVhost();
    undo.push(entrust({ after: { module: import.meta.url, call: 'removeVhost', input: [name] } }));
    await manage('PUT', `vhosts/${name}`);
    await manage('PUT', `permissions/${name}/${USER}`, { configure: '.*', write: '.*', read: '.*' });
    return `${url}/${name}`;
  };
  return { ...common, url, node, vhost };
}

/** Deletes a virtual host of ours in the compose file's broker, with its queues and messages. */
export async function removeVhost(name: string): Promise<void> {
  await manage('DELETE', `vhosts/${name}`);
}

async function manage(method: 'PUT' | 'DELETE', path: string, body?: Record<string, string>): Promise<void> {
  const reply = await fetch(`http://127.0.0.1:${containers.rabbitmqManagement[0].port}/api/${path}`, {
    method,
    headers: {
      authorization: `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`,
      'content-type': 'application/json',
    },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(20_000),
  });
  if (!reply.ok && !(method === 'DELETE' && reply.status === 404)) {
    throw new RabbitCallError(`${method} ${path}`, `${reply.status} ${await reply.text()}`);
  }
}

async function answers(url: string): Promise<void> {
  for (const deadline = performance.now() + START_MS; performance.now() < deadline; await sleep(50)) {
    const up = await hello(url, 1000).then(
      () => true,
      () => false,
    );
    if (up) return;
  }
  throw new StartTimeoutError(NAME, START_MS, '');
}

/**
 * AMQP's greeting and login, by hand: a client library would be a dependency for these two frames.
 * @throws UnreachableUrlError, LoginRefusedError
 */
async function hello(url: string, timeoutMs: number): Promise<{ version: string; greeting: string }> {
  const { protocol, hostname, port, username, password } = new URL(url);
  const at = { host: hostname, port: Number(port || DEFAULT_PORT) };
  const { promise, resolve, reject } = Promise.withResolvers<{ version: string; greeting: string }>();
  const fail = (words: string) => reject(new UnreachableUrlError(NAME, rabbitmq.variable, url, words));
  const socket = protocol === 'amqps:' ? connectTls({ ...at, servername: hostname }) : connect(at);
  socket.once(protocol === 'amqps:' ? 'secureConnect' : 'connect', () => socket.write('AMQP\x00\x00\x09\x01'));
  let received = Buffer.alloc(0);
  let greeting: string | undefined;
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 7 && received.length >= received.readUInt32BE(3) + 8) {
      const size = received.readUInt32BE(3);
      const payload = received.subarray(7, 7 + size);
      received = received.subarray(size + 8);
      const method = `${payload.readUInt16BE(0)}.${payload.readUInt16BE(2)}`;
      if (method === START) {
        greeting = payload.toString('latin1');
        socket.write(startOk(decodeURIComponent(username) || 'guest', decodeURIComponent(password) || 'guest'));
      } else if (method === TUNE) {
        const version = /version?S\0\0\0.([\d.]+)/s.exec(greeting ?? '')?.[1] ?? 'unknown';
        resolve({ version, greeting: greeting ?? '' });
      } else reject(new LoginRefusedError(NAME, rabbitmq.variable, url, 'the broker refused the login'));
    }
  });
  socket.setTimeout(timeoutMs, () => fail(`no answer within ${timeoutMs} ms`));
  socket.on('error', (error) => fail(error.message));
  socket.on('close', () => fail('the connection was closed'));
  return promise.finally(() => socket.destroy());
}

const START = '10.10';
const TUNE = '10.30';

function startOk(user: string, password: string): Buffer {
  const short = (text: string) => Buffer.from([text.length, ...Buffer.from(text)]);
  const long = (bytes: Buffer) => {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(bytes.length);
    return Buffer.concat([size, bytes]);
  };
  // With it a refused login is an answer; without it, a connection that closes some seconds later.
  const wish = long(Buffer.concat([short('authentication_failure_close'), Buffer.from('t\x01')]));
  const properties = long(Buffer.concat([short('capabilities'), Buffer.from('F'), wish]));
  const login = long(Buffer.from(`\0${user}\0${password}`));
  const payload = Buffer.concat([Buffer.from([0, 10, 0, 11]), properties, short('PLAIN'), login, short('en_US')]);
  return Buffer.concat([Buffer.from([1, 0, 0]), long(payload), Buffer.from([0xce])]);
}

function inspectLine(env: Record<string, string>, program: Program): string {
  const names = ['LD_LIBRARY_PATH', 'PATH', 'HOME', 'ERL_EPMD_PORT', 'RABBITMQ_NODENAME', 'RABBITMQ_CONF_ENV_FILE'];
  const set = names.flatMap((name) => {
    const value = name === 'PATH' ? env[name]?.replace(process.env['PATH'] ?? '', '$PATH') : env[name];
    return value === undefined || value === '$PATH' ? [] : `${name}=${value}`;
  });
  return `${set.join(' ')} ${program.path.replace(/rabbitmq-server$/, 'rabbitmqctl')} list_queues -p VHOST`;
}

const newVhost = () => `labs-${randomBytes(6).toString('hex')}`;
const newNamespace = () => `labs:${randomBytes(4).toString('hex')}:`;
