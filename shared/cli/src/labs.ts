import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';

/** A lab as its `package.json` describes it. */
export type Lab = {
  /** Unique across stages: `redlock`, the folder's name and the package's name without `@labs/`. */
  readonly name: string;
  /** Absolute path. */
  readonly dir: string;
  /** The room it stands in: the folder above. */
  readonly stage: string;
  /** English, then Chinese: `Redlock 红锁`. */
  readonly title: string;
  /** One line. */
  readonly description: string;
  /** Names of the servers that it talks to, as `@shared/services` spells them. */
  readonly services: readonly string[];
  /** Why it is larger than the budgets of a lab allow; absent where it keeps to them. */
  readonly larger?: string;
  /** How many of its laws need a mongod, and have run on none yet; absent where there is none. */
  readonly unproven?: number;
  /** Labs that lead to it; absent where it stands at a beginning. */
  readonly after?: readonly string[];
  /** What its demo took when its README was last filled; absent before that. */
  readonly seconds?: number;
  /** The command of `scripts.demo`. */
  readonly demo: string;
  readonly scripts: Readonly<Record<string, string>>;
};

/** A lab's `package.json` can't be read, or a field that the tools need is missing or wrong. */
export class LabManifestError extends Error {
  override readonly name = 'LabManifestError';
  readonly file: string;
  constructor(file: string, problem: string, options?: ErrorOptions) {
    super(`${file}: ${problem}`, options);
    this.file = file;
  }
}

/** Two labs claim one name, so `pnpm lab NAME` could mean either. */
export class DuplicateLabError extends Error {
  override readonly name = 'DuplicateLabError';
  constructor(name: string, dirs: readonly string[]) {
    super(`two labs are called "${name}": ${dirs.join(' and ')}; a lab's name is unique across stages, rename one`);
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isMissing = (error: unknown): boolean =>
  isRecord(error) && (error['code'] === 'ENOENT' || error['code'] === 'ENOTDIR');

/**
 * All labs under `root/labs/STAGE/NAME`, sorted by stage folder, then name. A folder without a `package.json` is no lab:
 * switching branches leaves such folders behind with their git-ignored content.
 *
 * @param onProblem receives each lab that can't be read, so that one broken manifest does not hide the other labs.
 *   Without it the first problem is thrown.
 * @throws {LabManifestError} unless `onProblem` is given.
 * @throws {DuplicateLabError} unless `onProblem` is given.
 */
export async function findLabs(
  root: string,
  onProblem: (error: LabManifestError | DuplicateLabError) => void = (error) => {
    throw error;
  },
): Promise<Lab[]> {
  const stages = await folders(join(root, 'labs'));
  const dirs = (await Promise.all(stages.map(folders))).flat();
  const found = await Promise.all(
    dirs.map((dir) =>
      readLab(dir, root).catch((error: unknown) => {
        if (error instanceof LabManifestError) return error;
        throw error;
      }),
    ),
  );
  const byName = new Map<string, Lab>();
  for (const lab of found) {
    if (lab === undefined) continue;
    if (lab instanceof LabManifestError) {
      onProblem(lab);
      continue;
    }
    const other = byName.get(lab.name);
    if (other) onProblem(new DuplicateLabError(lab.name, [relative(root, other.dir), relative(root, lab.dir)]));
    else byName.set(lab.name, lab);
  }
  return [...byName.values()];
}

/**
 * The lab in `dir`; undefined where there is no `package.json`.
 *
 * @param root only shortens the paths in messages.
 * @throws {LabManifestError} naming the field and what belongs there.
 */
async function readLab(dir: string, root = dirname(dir)): Promise<Lab | undefined> {
  const file = join(dir, 'package.json');
  const shown = relative(root, file);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw new LabManifestError(shown, `can't be read (${String(error)})`, { cause: error });
  }
  let manifest: unknown;
  try {
    manifest = JSON.parse(text);
  } catch (cause) {
    throw new LabManifestError(shown, `is not JSON (${cause instanceof Error ? cause.message : String(cause)})`, {
      cause,
    });
  }
  return toLab(dir, manifest, shown);
}

function toLab(dir: string, manifest: unknown, file: string): Lab {
  const wrong = (field: string, remedy: string): never => {
    throw new LabManifestError(file, `"${field}" ${remedy}`);
  };
  if (!isRecord(manifest)) throw new LabManifestError(file, 'must be a JSON object');
  const lab = isRecord(manifest['lab']) ? manifest['lab'] : wrong('lab', 'must be { stage, title, services }');
  const scripts = isRecord(manifest['scripts']) ? manifest['scripts'] : wrong('scripts', 'must name a "demo"');
  const text = (value: unknown, field: string, remedy: string): string =>
    typeof value === 'string' && value.trim() !== '' ? value : wrong(field, remedy);

  const name = basename(dir);
  const stage = basename(dirname(dir));
  if (manifest['name'] !== `@labs/${name}`) wrong('name', `must be "@labs/${name}", after its folder`);
  if (lab['stage'] !== stage) wrong('lab.stage', `must be "${stage}", the folder that the lab stands in`);
  const services = lab['services'];
  return {
    name,
    dir,
    stage,
    title: text(lab['title'], 'lab.title', 'must be a title, English then Chinese: "Redlock 红锁"'),
    description: text(manifest['description'], 'description', 'must be one line that says what the lab shows'),
    services:
      Array.isArray(services) && services.every((service) => typeof service === 'string')
        ? services
        : wrong('lab.services', 'must be a list of server names, [] when it needs none'),
    // What else may stand there is the anatomy gate's matter.
    ...(typeof lab['larger'] === 'string' && lab['larger'].trim() !== '' ? { larger: lab['larger'] } : {}),
    ...(typeof lab['unproven'] === 'number' ? { unproven: lab['unproven'] } : {}),
    ...(Array.isArray(lab['after']) ? { after: lab['after'].filter((name) => typeof name === 'string') } : {}),
    ...(typeof lab['seconds'] === 'number' ? { seconds: lab['seconds'] } : {}),
    demo: text(scripts['demo'], 'scripts.demo', 'must be the command of the demo: "node demo.ts"'),
    scripts: Object.fromEntries(
      Object.entries(scripts).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    ),
  };
}

async function folders(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules')
      .map((entry) => join(dir, entry.name))
      .sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
