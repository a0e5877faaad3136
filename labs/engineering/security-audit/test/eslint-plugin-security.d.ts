// eslint-plugin-security 4.1.0 ships no types; this is the part of it that peers.ts uses.
declare module 'eslint-plugin-security' {
  import type { Linter, Rule } from 'eslint';

  const plugin: {
    readonly rules: Readonly<Record<string, Rule.RuleModule>>;
    readonly configs: Readonly<Record<string, { readonly rules: Linter.RulesRecord }>>;
  };
  export default plugin;
}
