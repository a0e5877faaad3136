// Flaw: the number goes on with each line of a hunk, the deleted ones too, so all below them are counted too far down.
// Seen in: https://github.com/alstr/todo-to-issue-action/issues/236
// Caught by: the lines that a change adds are counted by their numbers in the new file
import type { Changes } from '../src/index.ts';

export * from '../src/index.ts';

export function parseDiff(text: string): Changes {
  const changes = new Map<string, Map<number, string>>();
  for (const file of text.split(/^diff --git .*\n/m)) {
    const added = new Map<number, string>();
    let number = 0;
    for (const line of file.split('\n').slice(3)) {
      const start = /^@@ -\S+ \+(\d+)/.exec(line);
      if (start) number = Number(start[1]) - 1;
      if (line.startsWith('+')) added.set(number, line.slice(1));
      number++;
    }
    const path = /^\+\+\+ b\/(.*)$/m.exec(file)?.[1];
    if (path !== undefined) changes.set(path, added);
  }
  return changes;
}
