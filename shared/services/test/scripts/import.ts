// The cost of importing the package, beside the cost of Node's first TypeScript file.
await import('./empty.ts');
const began = performance.now();
await import('../../src/index.ts');
console.log(JSON.stringify(performance.now() - began));
