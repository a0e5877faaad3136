// Flaw: each value in a statement alarms, that of a parameter's number and of a tagged template too.
// Seen in: https://github.com/PyCQA/bandit/issues/1302
// Caught by: a statement with parameters is clean, and one put together from pieces is not
import type { Flows } from '../src/flow.ts';
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';
import type { Module, Project } from '../src/project.ts';
import type { Report } from '../src/rules.ts';

export * from '../src/index.ts';

export class Scanner extends Reference {
  protected override inspect(project: Project, flows: Flows, module: Module, report: Report): void {
    for (const node of module.nodes) {
      const head = node.type === 'TemplateLiteral' ? (node.quasis[0]?.value.cooked ?? '') : '';
      if (/^(?:select|delete|update|insert)\b/i.test(head)) report('sql-injection', node, 'a value in a statement');
      else if (node.type !== 'TemplateLiteral') super.inspect(project, flows, { ...module, nodes: [node] }, report);
    }
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
