// Flaw: a call is judged by the name that is written before its bracket, so an alias hides it.
// Seen in: https://github.com/openclaw/openclaw/issues/116255
// Caught by: a function is known by where it comes from, not by what it is called here
import type { Node } from 'oxc-parser';
import type { Flows } from '../src/flow.ts';
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';
import { keyOf, type Module, type Project } from '../src/project.ts';
import { Inspector, type Report } from '../src/rules.ts';

export * from '../src/index.ts';

/** `exec(…)` and `child_process.exec(…)`, as they are written. */
const written = (node: Node) => {
  const name = node.type === 'MemberExpression' ? keyOf(node.property, node.computed) : keyOf(node, false);
  return name === 'exec' || name === 'execSync' ? `child_process.${name}` : name;
};

export class Scanner extends Reference {
  protected override inspect(project: Project, flows: Flows, module: Module, report: Report): void {
    const named = Object.create(project, { meaning: { value: written }, lookup: { value: () => undefined } });
    const inspector = new Inspector(named, flows, report);
    for (const node of module.nodes) if (node.type === 'CallExpression') inspector.look(node);
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
