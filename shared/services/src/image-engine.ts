import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGzip } from 'node:zlib';
import { OURS } from './buildah-store.ts';
import {
  BuildFailedError,
  type BuildOptions,
  type Built,
  buildahSteps,
  isRecord,
  type Layer,
  layerContent,
} from './image.ts';
import { onPath } from './service.ts';

const run = promisify(execFile);

/** The user's own Docker or Podman. Its images are left alone; ours have names of their own, and go with us. */
export interface ImageEngine {
  readonly name: 'docker' | 'podman';
  readonly path: string;
  readonly version: string;
}

/** The first that answers: of Docker that takes an engine, and BuildKit, which version 23 has. */
export async function imageEngine(
  names: readonly ImageEngine['name'][],
  signal?: AbortSignal,
): Promise<ImageEngine | undefined> {
  for (const name of names) {
    const path = await onPath(name);
    if (path === undefined) continue;
    const asked = name === 'docker' ? '{{.Server.Version}}' : '{{.Client.Version}}';
    const version = await run(path, ['version', '--format', asked], {
      timeout: 10_000,
      ...(signal && { signal }),
    }).then(
      ({ stdout }) => stdout.trim(),
      () => '',
    );
    signal?.throwIfAborted();
    if (/^\d/.test(version) && (name === 'podman' || Number.parseInt(version, 10) >= 23))
      return { name, path, version };
  }
  return undefined;
}

const label = (namespace: string) => `concept-labs=${namespace}`;

/** Builds in the user's engine, under names that begin with a namespace of ours. */
export class EngineStore {
  readonly base: string;
  readonly #o: { engine: ImageEngine; folder: string; namespace: string; signal: AbortSignal | undefined };
  #builds = 0;

  constructor(o: { engine: ImageEngine; folder: string; namespace: string; signal: AbortSignal | undefined }) {
    this.#o = o;
    this.base = `localhost/${o.namespace}/base:1`;
  }

  /** Before the first build, so that whoever comes after a kill knows what to remove. */
  async open(): Promise<void> {
    const { engine, folder, namespace } = this.#o;
    await writeFile(join(folder, OURS), JSON.stringify({ path: engine.path, label: label(namespace) }));
  }

  async build(o: BuildOptions & { tag?: string }): Promise<Built> {
    const { context, dockerfile = join(context, 'Dockerfile'), args = {}, secrets = {} } = o;
    const { engine, folder, namespace } = this.#o;
    this.#builds += 1;
    const id = this.#builds;
    const image = o.tag ?? `localhost/${namespace}/build:${id}`;
    const file = join(folder, `Dockerfile-${id}`);
    await writeFile(file, withoutSyntax(await readFile(dockerfile, 'utf8')));
    // BuildKit looks for the rules of what is ignored beside the Dockerfile, under its name, and then in the context.
    const ignored = await readFile(`${dockerfile}.dockerignore`).catch(() => undefined);
    if (ignored !== undefined) await writeFile(`${file}.dockerignore`, ignored);
    const start = performance.now();
    const said = await this.#say([
      'build',
      ...(engine.name === 'docker' ? ['--progress=plain', '--pull=false'] : ['--pull=never', '--layers']),
      ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
      ...Object.entries(secrets).flatMap(([id, path]) => ['--secret', `id=${id},src=${path}`]),
      // Whatever is built upon the base has its label, half-done images too.
      ...(image === this.base ? ['--label', label(namespace)] : []),
      ...['--tag', image, '--file', file, context],
    ]);
    const took = performance.now() - start;
    let saved: Promise<SavedImage> | undefined;
    const save = () => {
      saved ??= this.#save(image, join(folder, `image-${id}`));
      return saved;
    };
    const steps = engine.name === 'docker' ? buildKitSteps(said) : buildahSteps(said);
    return {
      steps,
      image,
      took,
      layers: async () => (await save()).layers(),
      config: async () => (await save()).config(),
    };
  }

  async #save(image: string, folder: string): Promise<SavedImage> {
    await mkdir(folder);
    const archive = join(folder, 'image.tar');
    const format = this.#o.engine.name === 'podman' ? ['--format', 'docker-archive'] : [];
    await this.#say(['save', ...format, '--output', archive, image]);
    await run('tar', ['-xf', archive, '-C', folder]);
    return SavedImage.read(folder);
  }

  async #say(args: readonly string[]): Promise<string> {
    const { engine, folder, signal } = this.#o;
    const env = { ...process.env, DOCKER_BUILDKIT: '1', LC_ALL: 'C' };
    const options = { cwd: folder, env, maxBuffer: 16 * 1024 ** 2, ...(signal && { signal }) };
    try {
      const { stdout, stderr } = await run(engine.path, [...args], options);
      return `${stdout}${stderr}`;
    } catch (error) {
      signal?.throwIfAborted();
      const words = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
      throw new BuildFailedError(words.trim().split('\n').slice(-12).join('\n'));
    }
  }
}

/** A frontend of another version would be pulled; the one that is built in knows what the labs use. Lines keep their numbers. */
const withoutSyntax = (text: string) => text.replace(/^#\s*syntax\s*=.*/i, '#');

/** Of BuildKit's plain progress: `#5 [build 2/3] COPY a b`, and `#5 CACHED`. It tells of no step that makes no layer. */
export function buildKitSteps(said: string) {
  const steps = new Map<string, { instruction: string; cached: boolean }>();
  for (const line of said.split('\n')) {
    const [, id = '', rest = ''] = /^#(\d+) (.*)/.exec(line) ?? [];
    const instruction = /^\[(?:\S+ +)?\d+\/\d+\] (.*)/.exec(rest)?.[1];
    if (instruction !== undefined && !steps.has(id)) steps.set(id, { instruction, cached: false });
    const step = steps.get(id);
    if (step && rest === 'CACHED') step.cached = true;
  }
  return [...steps.values()];
}

/** What `docker save` and `podman save` write: `manifest.json` names the config and a tar for each layer. */
class SavedImage {
  readonly #folder: string;
  readonly #config: Readonly<Record<string, unknown>>;
  readonly #layers: readonly string[];

  private constructor(folder: string, config: Readonly<Record<string, unknown>>, layers: readonly string[]) {
    this.#folder = folder;
    this.#config = config;
    this.#layers = layers;
  }

  static async read(folder: string): Promise<SavedImage> {
    const manifest: unknown = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
    const first: unknown = Array.isArray(manifest) ? manifest[0] : undefined;
    if (!isRecord(first) || !Array.isArray(first['Layers']))
      throw new BuildFailedError('the saved image has no manifest');
    const config: unknown = JSON.parse(await readFile(join(folder, String(first['Config'])), 'utf8'));
    return new SavedImage(folder, isRecord(config) ? config : {}, first['Layers'].map(String));
  }

  config(): Readonly<Record<string, unknown>> {
    const config = this.#config['config'];
    return isRecord(config) ? config : {};
  }

  layers(): Promise<readonly Layer[]> {
    return Promise.all(
      this.#layers.map(async (name): Promise<Layer> => {
        const path = join(this.#folder, name);
        return { ...(await asPulled(path)), ...(await layerContent(path)) };
      }),
    );
  }
}

/** What is saved is often not compressed, and what is pulled is. */
async function asPulled(path: string): Promise<Pick<Layer, 'digest' | 'bytes'>> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  const digest = `sha256:${hash.digest('hex')}`;
  await using file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
  const isCompressed = buffer.readUInt16BE(0) === 0x1f8b || buffer.readUInt32BE(0) === 0x28b52ffd;
  if (isCompressed) return { digest, bytes: (await stat(path)).size };
  let bytes = 0;
  const count = new Writable({
    write(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      done();
    },
  });
  await pipeline(createReadStream(path), createGzip(), count);
  return { digest, bytes };
}
