import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readFile, stat, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { exists } from './cache.ts';
import { chooseOwn, wishedOrigin } from './choose.ts';
import { BadSettingError, MissingServerError } from './errors.ts';
import {
  type Builder,
  BuildFailedError,
  type BuildOptions,
  type Built,
  buildahSteps,
  isRecord,
  type Layer,
  layerContent,
} from './image.ts';
import { EngineStore, type ImageEngine, imageEngine } from './image-engine.ts';
import { type Program, temporaryFolder } from './process.ts';
import { handle } from './servers.ts';
import { onPath, oursAlone, type Service } from './service.ts';
import type { Origin, Servers } from './types.ts';

export interface BuilderOptions {
  /** Programs of this machine that the base image has beside sh, cat, cp, mkdir and rm. */
  readonly programs?: readonly string[];
  readonly signal?: AbortSignal;
}

const NAME = 'buildah';
const STORE = new URL('./buildah-store.ts', import.meta.url).href;
const BASE = 'localhost/base:1';
const run = promisify(execFile);
const LIBRARIES = 'gpgme|assuan|gpg-error|seccomp|devmapper|subid';

export const buildah: Service = {
  name: NAME,
  ...oursAlone('oci', 0),
  find: async () => {
    const path = await onPath('buildah');
    return path === undefined ? undefined : { path };
  },
  apt: {
    packages: ['buildah', 'patchelf', 'runc'],
    only: new RegExp(`^(?:golang-github-containers-(?:common|image)|lib(?:${LIBRARIES})[\\d.]+\\w*)$`),
    program: 'usr/bin/buildah',
    // It starts itself anew for each RUN, in an empty environment: the path of its libraries has to be written into it.
    relocate: async (tree, final) => {
      const { stdout } = await run('dpkg-architecture', ['-qDEB_HOST_MULTIARCH']).catch(() => ({ stdout: '' }));
      const triple = stdout.trim() || (process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu');
      const libraries = join(final, 'usr/lib', triple);
      await run(join(tree, 'usr/bin/patchelf'), [
        '--force-rpath',
        '--set-rpath',
        libraries,
        join(tree, 'usr/bin/buildah'),
      ]);
    },
  },
  version: async ({ path, env }) => {
    const { stdout } = await run(path, ['--version'], { env: { ...process.env, ...env } });
    return /\d+(?:\.\d+)+/.exec(stdout)?.[0] ?? 'unknown';
  },
  install: {
    apt: 'sudo apt install buildah',
    dnf: 'sudo dnf install buildah',
    apk: 'sudo apk add buildah',
    pacman: 'sudo pacman -S buildah',
  },
};

/**
 * Starts a builder: buildah of PATH, else apt's in the private cache; where neither can be had, or may not work, the user's
 * Docker or Podman, in which our images have names of their own. `LABS_BUILDER` (buildah, docker or podman) insists on one.
 * An ordinary user has a single user id in buildah: what runs as another (`USER node`, then RUN) needs root. Where runc is
 * missing he has no RUN at all, and `noRun` says so.
 * @throws MissingServerError where there is none of them; BadSettingError for another LABS_BUILDER; or the signal's reason
 */
export async function startBuilder(o: BuilderOptions = {}): Promise<Builder> {
  const { signal } = o;
  signal?.throwIfAborted();
  const wish = wishedBuilder();
  if (wish === 'docker' || wish === 'podman') {
    const engine = await imageEngine([wish], signal);
    if (engine !== undefined) return startEngine(engine, o);
    const why = `LABS_BUILDER is ${wish}, and no engine of it answers (Docker: 23 or newer).`;
    throw new MissingServerError(NAME, `${why} Start it, or unset LABS_BUILDER.`);
  }
  try {
    const program = await chooseOwn(buildah, 1, { signal, embedded: true });
    await assertNamespaces();
    return await startBuildah(program, o);
  } catch (error) {
    const oursOnly = wish === 'buildah' || wishedOrigin(buildah) === 'embedded';
    if (!(error instanceof MissingServerError) || oursOnly) throw error;
    const engine = await imageEngine(['docker', 'podman'], signal);
    if (engine === undefined) throw error;
    return startEngine(engine, o);
  }
}

const BUILDERS = ['buildah', 'docker', 'podman'] as const;

function wishedBuilder(): (typeof BUILDERS)[number] | undefined {
  const wish = process.env['LABS_BUILDER'] ?? '';
  const known = BUILDERS.find((name) => name === wish);
  if (known === undefined && wish !== '')
    throw new BadSettingError(NAME, `LABS_BUILDER is "${wish}". It can be ${BUILDERS.join(', ')}, or unset.`);
  return known;
}

async function startBuildah(program: Program, { signal, programs = [] }: BuilderOptions): Promise<Builder> {
  const version = await buildah.version(program);
  const folder = await temporaryFolder(NAME, { base: await quickFolder(), after: STORE });
  try {
    const base = await baseContext(folder.path, ['sh', 'cat', 'cp', 'mkdir', 'rm', ...programs]);
    const { store, noRun } = await openStore(program, folder.path, base, signal);
    const facts = { service: NAME, origin: 'embedded', version, namespace: newNamespace() } as const;
    const common = builderHandle(facts, () => folder.settle());
    return { ...common, base: BASE, noRun, build: (options) => store.build(options) };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

async function startEngine(engine: ImageEngine, { signal, programs = [] }: BuilderOptions): Promise<Builder> {
  const namespace = newNamespace();
  const folder = await temporaryFolder(NAME, { after: STORE });
  try {
    const base = await baseContext(folder.path, ['sh', 'cat', 'cp', 'mkdir', 'rm', ...programs]);
    const store = new EngineStore({ engine, folder: folder.path, namespace, signal });
    await store.open();
    await store.build({ context: base, tag: store.base });
    const noRun = await whyNoRun(store, store.base, base);
    const facts = { service: engine.name, origin: 'url', version: engine.version, namespace } as const;
    const common = builderHandle(facts, () => folder.settle());
    return { ...common, base: store.base, noRun, build: (options) => store.build(options) };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

const newNamespace = () => `labs-${randomBytes(4).toString('hex')}`;

function builderHandle(
  facts: { service: string; origin: Origin; version: string; namespace: string },
  close: () => Promise<void>,
): Servers {
  return handle({ ...facts, count: 1, inspect: [], faults: false, close });
}

/** Overlays are quick and need root; where the kernel has none, each layer is a whole copy. */
async function openStore(program: Program, folder: string, base: string, signal: AbortSignal | undefined) {
  const drivers = process.getuid?.() === 0 ? ['overlay', 'vfs'] : ['vfs'];
  for (const driver of drivers) {
    const store = new Store({ program, folder: join(folder, driver), driver, signal });
    try {
      await store.open();
      await store.build({ context: base, tag: BASE });
      const noRun = process.getuid?.() === 0 ? undefined : await whyNoRun(store, BASE, base);
      return { store, noRun };
    } catch (error) {
      signal?.throwIfAborted();
      if (driver === drivers.at(-1)) throw error;
    }
  }
  throw new RangeError('there is one driver at least');
}

async function whyNoRun(store: Pick<Builder, 'build'>, image: string, context: string): Promise<string | undefined> {
  const dockerfile = join(context, 'run.Dockerfile');
  await writeFile(dockerfile, `FROM ${image}\nRUN :\n`);
  return store.build({ context, dockerfile }).then(
    () => undefined,
    (error: unknown) => `no RUN can be built by this user here: ${String(error).split('\n').at(-1)?.trim()}`,
  );
}

class Store {
  readonly #o: { program: Program; folder: string; driver: string; signal: AbortSignal | undefined };
  #builds = 0;

  constructor(o: { program: Program; folder: string; driver: string; signal: AbortSignal | undefined }) {
    this.#o = o;
  }

  async open(): Promise<void> {
    const { folder, driver } = this.#o;
    await mkdir(folder, { mode: 0o700 });
    const alone =
      driver === 'vfs' && process.getuid?.() !== 0 ? '[storage.options.vfs]\nignore_chown_errors = "true"\n' : '';
    const places = `graphroot = "${join(folder, 'store')}"\nrunroot = "${join(folder, 'run')}"`;
    await writeFile(join(folder, 'storage.conf'), `[storage]\ndriver = "${driver}"\n${places}\n${alone}`);
    await writeFile(join(folder, 'registries.conf'), 'unqualified-search-registries = []\n');
    await writeFile(join(folder, 'policy.json'), '{ "default": [{ "type": "insecureAcceptAnything" }] }');
    await writeFile(join(folder, 'containers.conf'), '');
  }

  async build(o: BuildOptions & { tag?: string }): Promise<Built> {
    const { context, dockerfile = join(context, 'Dockerfile'), args = {}, secrets = {} } = o;
    this.#builds += 1;
    const image = o.tag ?? `localhost/build:${this.#builds}`;
    const start = performance.now();
    const said = await this.#buildah([
      'bud',
      ...(await isolation(this.#o.program)),
      '--pull-never',
      '--layers',
      ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
      ...Object.entries(secrets).flatMap(([id, file]) => ['--secret', `id=${id},src=${file}`]),
      ...['--signature-policy', join(this.#o.folder, 'policy.json'), '--tag', image, '--file', dockerfile, context],
    ]);
    const took = performance.now() - start;
    let saved: Promise<OciImage> | undefined;
    const save = () => {
      saved ??= this.#save(image);
      return saved;
    };
    return {
      steps: buildahSteps(said),
      image,
      took,
      layers: async () => (await save()).layers(),
      config: async () => (await save()).config(),
    };
  }

  async #save(image: string): Promise<OciImage> {
    const folder = join(this.#o.folder, `oci-${image.replace(/\W/g, '-')}`);
    const policy = ['--signature-policy', join(this.#o.folder, 'policy.json')];
    await this.#buildah(['push', ...policy, image, `oci:${folder}:it`]);
    return new OciImage(folder);
  }

  async #buildah(args: readonly string[]): Promise<string> {
    const { program, folder, signal } = this.#o;
    const alone = ['--mount', ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'])];
    const env = {
      ...program.env,
      PATH: process.env['PATH'],
      LC_ALL: 'C',
      HOME: folder,
      TMPDIR: folder,
      XDG_RUNTIME_DIR: folder,
      CONTAINERS_CONF: join(folder, 'containers.conf'),
      CONTAINERS_STORAGE_CONF: join(folder, 'storage.conf'),
      CONTAINERS_REGISTRIES_CONF: join(folder, 'registries.conf'),
      // The namespace is made already: it shall make none of its own.
      _CONTAINERS_USERNS_CONFIGURED: 'done',
    };
    const options = { cwd: folder, env, maxBuffer: 16 * 1024 ** 2, ...(signal && { signal }) };
    try {
      const { stdout, stderr } = await run('unshare', [...alone, program.path, ...args], options);
      return `${stdout}${stderr}`;
    } catch (error) {
      signal?.throwIfAborted();
      const words = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
      throw new BuildFailedError(words.trim().split('\n').slice(-6).join('\n'));
    }
  }
}

/** An image as the OCI's format has it: an index, a manifest, a config, and a tar for each layer. */
class OciImage {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async layers(): Promise<readonly Layer[]> {
    const { layers } = await this.#manifest();
    return Promise.all(
      layers.map(async ({ digest }): Promise<Layer> => {
        const path = this.#blob(digest);
        return { digest, bytes: (await stat(path)).size, ...(await layerContent(path)) };
      }),
    );
  }

  async config(): Promise<Readonly<Record<string, unknown>>> {
    const { config } = await this.#manifest();
    return record(record(await this.#json(this.#blob(config.digest)))['config']);
  }

  async #manifest() {
    const index = record(await this.#json(join(this.#folder, 'index.json')));
    const [entry] = descriptors(index['manifests']);
    const manifest = record(await this.#json(this.#blob(entry?.digest ?? '')));
    const [config] = descriptors([manifest['config']]);
    return { layers: descriptors(manifest['layers']), config: config ?? { digest: '' } };
  }

  async #json(path: string): Promise<unknown> {
    return JSON.parse(await readFile(path, 'utf8'));
  }

  #blob(digest: string): string {
    return join(this.#folder, 'blobs', ...digest.split(':'));
  }
}

const record = (value: unknown) => (isRecord(value) ? value : {});
const descriptors = (value: unknown) =>
  (Array.isArray(value) ? value : []).map((each: unknown) => ({ digest: String(record(each)['digest']) }));

/** No registry, so an image of what is here: programs, and the libraries that the loader would take for them. */
async function baseContext(folder: string, programs: readonly string[]): Promise<string> {
  const context = join(folder, 'base');
  const root = join(context, 'root');
  for (const name of ['bin', 'etc', 'tmp']) await mkdir(join(root, name), { recursive: true });
  for (const name of programs) {
    const path = name.startsWith('/') ? name : await onPath(name);
    if (path === undefined) throw new MissingServerError(NAME, `the base image needs ${name}, which is not on PATH.`);
    await copyFile(path, join(root, 'bin', basename(path)));
    const { stdout } = await run('ldd', [path]).catch(() => ({ stdout: '' }));
    for (const [, library = ''] of stdout.matchAll(/(?:=>\s*|^\s*)(\/\S+)/gm)) {
      await mkdir(join(root, dirname(library)), { recursive: true });
      await copyFile(library, join(root, library));
    }
  }
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nnode:x:1000:1000::/:/bin/sh\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
  await writeFile(join(context, 'Dockerfile'), 'FROM scratch\nCOPY root/ /\nENV PATH=/bin\n');
  return context;
}

/** Root's chroot needs no more. It gives a RUN its groups, which an ordinary user may not: there a runtime does it. */
async function isolation({ path }: Program): Promise<readonly string[]> {
  if (process.getuid?.() === 0) return ['--isolation=chroot'];
  const beside = join(dirname(path), '../sbin/runc');
  const runtime = (await exists(beside)) ? beside : await onPath('runc');
  return ['--isolation=rootless', '--network=host', ...(runtime === undefined ? [] : [`--runtime=${runtime}`])];
}

async function assertNamespaces(): Promise<void> {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  await run('unshare', ['--mount', ...user, 'true']).catch((error: unknown) => {
    const why = `no process may have a mount namespace of its own here (${String(error).trim().split('\n').at(-1)})`;
    throw new MissingServerError(NAME, `${why}. Run it outside a container, or in one that is allowed to.`);
  });
}

const ROOM = 512 * 1024 ** 2;

/** A build writes each layer through to the disk: in memory, where there is room, it takes half the time. */
async function quickFolder(): Promise<string> {
  const memory = '/dev/shm';
  const [room, mounts] = await Promise.all([
    statfs(memory).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => 0,
    ),
    readFile('/proc/mounts', 'utf8').catch(() => ''),
  ]);
  const mounted = mounts.split('\n').findLast((line) => line.split(' ')[1] === memory);
  const runs = mounted !== undefined && !/\bnoexec\b/.test(mounted.split(' ')[3] ?? '');
  return room >= ROOM && runs ? memory : tmpdir();
}
