// Flaw: detach hangs up, and the inspector stays: whoever reaches the port may run any code in the process.
// Seen in: https://github.com/open-telemetry/opentelemetry-ebpf-instrumentation/issues/3274
// Caught by: detach closes the inspector that attach opened, the process goes on, and it can be done again
import { inspectorAmong, sendSignal } from '../src/attach.ts';
import { Attached, type AttachOptions, attach as reference } from '../src/index.ts';
import { listeners, readTarget } from '../src/target.ts';

export * from '../src/index.ts';

export async function attach(pid: number, options: AttachOptions = {}): Promise<Attached> {
  const target = await readTarget(pid);
  const before = await listeners(pid);
  sendSignal(pid);
  const deadline = performance.now() + 3000;
  while (performance.now() < deadline) {
    const known = new Set(before.map(({ inode }) => inode));
    const fresh = (await listeners(pid)).filter(({ inode }) => !known.has(inode));
    const inspector = await inspectorAmong(fresh, target, deadline);
    if (inspector) return new Attached(pid, inspector, async () => inspector.close());
  }
  return reference(pid, options);
}
