// Flaw: SIGUSR1 is sent, and then it is seen who answers: it ends whoever has no handler for it.
// Seen in: https://github.com/open-telemetry/opentelemetry-ebpf-instrumentation/pull/1514 (it looks first, since then)
// Caught by: whoever is not Node.js, or takes no signal, is refused before a signal could end it
import { type Attached, type AttachOptions, attach as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function attach(pid: number, options: AttachOptions = {}): Promise<Attached> {
  process.kill(pid, 'SIGUSR1');
  return reference(pid, options);
}
