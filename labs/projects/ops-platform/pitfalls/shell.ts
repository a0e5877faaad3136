// Flaw: makes one line of a command and gives it to a shell, so that what a host is named is read as a command.
// Seen in: subprocess with shell=True, child_process.exec, and Ansible's shell module where command would do
// Caught by: what a value says is one word of a command, whatever it says
export * from '../src/index.ts';

import { fill, Machine as Sound, type Vars } from '../src/index.ts';

export class Machine extends Sound {
  protected override argv(words: readonly string[], vars: Vars): string[] {
    return ['/bin/sh', '-c', words.map((word) => fill(word, vars)).join(' ')];
  }
}
