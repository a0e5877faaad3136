// disposablestack has no types of its own; it implements the standard.
declare module 'disposablestack/DisposableStack/implementation' {
  const implementation: typeof DisposableStack;
  export default implementation;
}
declare module 'disposablestack/AsyncDisposableStack/implementation' {
  const implementation: typeof AsyncDisposableStack;
  export default implementation;
}
