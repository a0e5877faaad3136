// An agent as a process of its own, to be killed. Arguments: URL, token, folder, implementation.
const [url = '', token = '', root = '', impl = ''] = process.argv.slice(2);
// Without an implementation to try, only what an agent needs: many start at once.
const { Agent } = await import('../src/agent.ts');
const { Machine }: Pick<typeof import('../src/index.ts'), 'Machine'> = await import(impl || '../src/machine.ts');
const machine = new Machine({ root, graceMs: 200 });
const agent = new Agent({ url, token, machine, beatMs: 50, retryMs: 50, onError: () => {} });
console.log('ready');
// Whoever started it is gone, and so is it.
process.stdin.on('close', () => void agent[Symbol.asyncDispose]().finally(() => process.exit())).resume();
