// Flaw: written as a method the parameter is bivariant: the compiler takes a vet for dogs, and the cat is asked to bark.
// Seen in: https://typescript-eslint.io/rules/method-signature-style/
// Caught by: a shape fits by what it has, and takes whatever its type says that it takes
import { fixes as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const fixes: typeof reference = {
  ...reference,
  'vet-for-dogs-alone':
    'interface Practice { see(patient: Animal): string }\nconst practice: Practice = { see(patient: Dog) { return patient.bark(); } };\nexport const vet: Vet = (patient: Animal) => practice.see(patient);',
};
