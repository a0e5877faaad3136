// Flaw: connects to the port where the inspector should be: when another process has it, that one is profiled and closed.
// Seen in: https://github.com/nodejs/node/issues/18639
// Caught by: attach reaches the process that was asked for, or none: another may have its port
import { setTimeout as delay } from 'node:timers/promises';
import { closeInspector, sendSignal, whyNot } from '../src/attach.ts';
import { Attached, type AttachOptions } from '../src/index.ts';
import { Inspector } from '../src/inspector.ts';
import { readTarget } from '../src/target.ts';

export * from '../src/index.ts';

export async function attach(pid: number, { timeoutMs = 5000 }: AttachOptions = {}): Promise<Attached> {
  const target = await readTarget(pid);
  sendSignal(pid);
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const inspector = await Inspector.open({ inode: '', host: '127.0.0.1', port: target.inspectPort }, deadline);
    if (inspector) return new Attached(pid, inspector, () => closeInspector(inspector));
    await delay(10);
  }
  throw await whyNot(target, [], timeoutMs);
}
