// Flaw: an alert's host is looked up as any target is, and a tag of that name is a target, too.
// Seen in: inventories where groups and hosts share one space of names, as Ansible warns of
// Caught by: an alert is for its host alone, whoever has a tag of that name, and what has no name starts nothing
export * from '../src/index.ts';

import { Ops as Sound } from '../src/index.ts';

export class Ops extends Sound {
  override startIn(...[tx, actor, start]: Parameters<Sound['startIn']>): Promise<string> {
    return super.startIn(tx, actor, start);
  }
}
