// The dependency rule, read off the source by a parser: every import, type-only ones too.
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parseSync } from 'oxc-parser';

const inward = {
  domain: ['domain'],
  application: ['application', 'domain'],
  infrastructure: ['infrastructure', 'application', 'domain'],
  interfaces: ['interfaces', 'application', 'domain'],
} as const satisfies Record<string, readonly string[]>;
export type Layer = keyof typeof inward;

const isLayer = (folder: string): folder is Layer => Object.hasOwn(inward, folder);
/** These two hold the rules: whatever folder they are in, they are domain. */
const domainClasses = ['Order', 'Money'];

export type Import = { readonly from: string; readonly layer: Layer; readonly to: string };

/** Follows the imports from `entry`, and gives those that point outward. */
export async function outwardImports(
  entry: string,
  read = (path: string): Promise<string> => readFile(path, 'utf8'),
): Promise<{ files: number; violations: readonly Import[] }> {
  const violations: Import[] = [];
  const seen = new Set<string>();
  const visit = async (path: string): Promise<void> => {
    if (seen.has(path)) return;
    seen.add(path);
    const { program, module } = parseSync(path, await read(path));
    const requested = [
      ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
      ...module.staticExports.flatMap(({ entries }) => entries.flatMap((each) => each.moduleRequest?.value ?? [])),
      ...module.dynamicImports.map(({ moduleRequest }) => `import(…) at ${moduleRequest.start}`),
    ];
    const classes = program.body.flatMap((statement) => {
      const node = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
      return node?.type === 'ClassDeclaration' && node.id ? [node.id.name] : [];
    });
    const folder = basename(dirname(path));
    const layer = isLayer(folder)
      ? folder
      : classes.some((name) => domainClasses.includes(name))
        ? 'domain'
        : undefined;
    for (const to of new Set(requested)) {
      const relative = to.startsWith('.');
      const target = join(dirname(path), to);
      if (layer && !allowed(layer, folder, relative, target)) violations.push({ from: path, layer, to });
      if (relative) await visit(target);
    }
  };
  await visit(entry);
  return { files: seen.size, violations };
}

/** Only the infrastructure may know a package. A barrel is nobody's layer, and only files outside the layers may use it. */
function allowed(layer: Layer, folder: string, relative: boolean, target: string): boolean {
  if (!relative) return layer === 'infrastructure';
  const there = basename(dirname(target));
  return isLayer(there) ? inward[layer].some((each) => each === there) : !isLayer(folder);
}
