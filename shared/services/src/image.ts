import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ServiceError } from './errors.ts';
import type { Servers } from './types.ts';

/** What makes images of Dockerfiles, on this machine alone: it pulls nothing, and what it makes goes with it. */
export interface Builder extends Servers {
  /** The one image that is there: a shell and a few programs of this machine, and the user `node` (1000). */
  readonly base: string;
  /** Why no RUN can be built here, else undefined. */
  readonly noRun: string | undefined;
  /** @throws BuildFailedError */
  build(o: BuildOptions): Promise<Built>;
}

export interface BuildOptions {
  /** The folder that is sent to the builder. */
  readonly context: string;
  /** Default: `Dockerfile` in the context. */
  readonly dockerfile?: string;
  readonly args?: Readonly<Record<string, string>>;
  /** Files that `RUN --mount=type=secret,id=…` may read. */
  readonly secrets?: Readonly<Record<string, string>>;
}

export interface Built {
  readonly steps: readonly { readonly instruction: string; readonly cached: boolean }[];
  readonly image: string;
  /** Milliseconds. */
  readonly took: number;
  /** What whoever pulls the image gets: its layers, oldest first. */
  layers(): Promise<readonly Layer[]>;
  /** `config` of the image: User, Cmd, Env … */
  config(): Promise<Readonly<Record<string, unknown>>>;
}

export interface Layer {
  /** Of its content: who has a layer of this name does not pull it again. */
  readonly digest: string;
  /** As it is pulled: compressed. */
  readonly bytes: number;
  /** Paths of the files that it adds, or takes away (`.wh.NAME`), without a leading `/`. */
  readonly files: readonly string[];
  /** @throws what `tar` throws where it is not there */
  read(file: string): Promise<string>;
}

/** A build that an instruction ended. */
export class BuildFailedError extends ServiceError {
  constructor(log: string) {
    super('buildah', 'BUILD_FAILED', `the build failed. Its last words:\n${log.replace(/^/gm, '  | ')}`);
  }
}

/** Of `STEP 3/7: COPY a b` and `--> Using cache …`. */
export function buildahSteps(said: string) {
  const steps: { instruction: string; cached: boolean }[] = [];
  for (const line of said.split('\n')) {
    const instruction = /^(?:\[[^\]]*\] )?STEP \d+(?:\/\d+)?: (.*)/.exec(line)?.[1];
    if (instruction !== undefined) steps.push({ instruction, cached: false });
    const last = steps.at(-1);
    if (last && line.includes('--> Using cache')) last.cached = true;
  }
  return steps;
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

const run = promisify(execFile);

/** What a layer's tar has, compressed or not. */
export async function layerContent(path: string): Promise<Pick<Layer, 'files' | 'read'>> {
  const { stdout } = await run('tar', ['-tf', path], { maxBuffer: 64 * 1024 ** 2 });
  const names = stdout.split('\n').filter((name) => name !== '' && !name.endsWith('/'));
  const read = async (file: string) => (await run('tar', ['-xOf', path, file])).stdout;
  return { files: names.map((name) => name.replace(/^\.?\//, '')), read };
}
