import { cp, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import colors from 'picocolors';
import { readCatalog, versionOf } from '../catalog.ts';
import { type Context, labNamed } from '../context.ts';
import { exit, UsageError } from '../errors.ts';
import { isMissing, isRecord, type Lab } from '../labs.ts';
import { plural } from '../text.ts';

/** `pnpm lab copy NAME DEST`: the reference, as code of the reader's own project. */
export async function copy(context: Context, name: string, dest: string, options: { force?: true }): Promise<number> {
  const { out, cwd } = context;
  const lab = await labNamed(context, name);
  const target = resolve(cwd, dest);
  const shown = relative(cwd, target) || '.';
  if (`${target}${sep}`.startsWith(`${lab.dir}${sep}`)) {
    throw new UsageError(`${shown} lies inside the lab itself; name a folder of your own project`);
  }
  const held = await contentOf(target, shown);
  if (held.length > 0 && !options.force) {
    throw new UsageError(
      `${shown} holds ${plural(held.length, 'file')}; name a new folder, or add --force to replace those of the same name`,
    );
  }
  const source = join(lab.dir, 'src');
  await mkdir(target, { recursive: true });
  await cp(source, target, { recursive: true, force: true });
  const files = (await readdir(source, { recursive: true })).filter((file) => /\.tsx?$/.test(file));

  const { runtime, development } = await packagesOf(context, lab);
  const folder = basename(target);
  const lines = [
    ...(runtime.length > 0 ? [`npm install ${runtime.join(' ')}`] : []),
    `npm install -D ${development.join(' ')}`,
  ];
  out.write(`${colors.green('✓')} ${plural(files.length, 'file')} of ${colors.bold(lab.title)} copied to ${colors.cyan(shown)}

${colors.bold('Install')}
${lines.map((line) => `  ${line}`).join('\n')}

${colors.bold('package.json')}
  "type": "module", "engines": { "node": ">=${process.versions.node.split('.')[0]}" }

${colors.bold('tsconfig.json')}, "compilerOptions"
  ${compilerOptions}, and
  "allowImportingTsExtensions": true, "noEmit": true   where Node runs the .ts files, or a bundler does
  "rewriteRelativeImportExtensions": true              where tsc writes .js files

${colors.bold('Import')}
  import * as ${camel(lab.name)} from './${folder}/index.ts';
`);
  return exit.done;
}

/** What a lab's source needs of the compiler, whoever runs the result. */
export const compilerOptions =
  '"target": "esnext", "module": "nodenext", "types": ["node"], "strict": true, "skipLibCheck": true';

const camel = (name: string) => name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

async function contentOf(target: string, shown: string): Promise<string[]> {
  try {
    if (!(await stat(target)).isDirectory()) throw new UsageError(`${shown} is a file; name a folder`);
    return await readdir(target);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** `name@version`, exact: of what the source imports, and of what only its types need. */
async function packagesOf({ root }: Context, lab: Lab): Promise<{ runtime: string[]; development: string[] }> {
  const manifest: unknown = JSON.parse(await readFile(join(lab.dir, 'package.json'), 'utf8'));
  const of = (field: string): Record<string, string> => {
    const value = isRecord(manifest) ? manifest[field] : undefined;
    const entries = Object.entries(isRecord(value) ? value : {});
    return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
  };
  const dependencies = of('dependencies');
  const catalog = await readCatalog(root);
  const typings = Object.entries(of('devDependencies')).filter(([name]) =>
    Object.keys(dependencies).some((dependency) => name === typesFor(dependency)),
  );
  const pin = async (entries: readonly (readonly [string, string])[]) =>
    Promise.all(entries.map(async ([name, spec]) => `${name}@${await versionOf(name, spec, catalog, lab.dir)}`));
  const compiler = ['typescript', '@types/node'].map((name) => [name, 'catalog:'] as const);
  return { runtime: await pin(Object.entries(dependencies)), development: await pin([...compiler, ...typings]) };
}

/** DefinitelyTyped's name for a package: `@types/pg`, and `@types/a__b` for `@a/b`. */
const typesFor = (name: string): string => `@types/${name.replace(/^@/, '').replace('/', '__')}`;
