/**
 * What CPython answers, written down once: 3.8.18, 3.11.7 and 3.13.0 agree in every row.
 *
 * How: `x` is put into each place as `make(kind, place)`, then read, assigned ('new') and deleted, each on a fresh world.
 *
 *     M = type('M', (type,), {x: meta}); B = M('B', (), {x: base}); S = M('S', (B,), {x: sub}); o = S(); o.__dict__[x] = inst
 *
 * A kind is `-` (absent), `plain` (a string that says the place), or a descriptor whose type has the methods named: its
 * `__get__` returns 'place.get(instance or -,owner)', its `__set__` and `__delete__` note that they were called.
 * An outcome is what was read, who was called, what became of the dictionary, or AttributeError.
 */

/** sub base inst | o.x, o.x = new, del o.x */
export const ON_AN_INSTANCE = `
- - - | AttributeError stored AttributeError
- - plain | inst stored removed
- - getset | inst stored removed
- plain - | base stored AttributeError
- plain plain | inst stored removed
- plain getset | inst stored removed
- get - | base.get(o,S) stored AttributeError
- get plain | inst stored removed
- get getset | inst stored removed
- set - | base base.set AttributeError
- set plain | inst base.set AttributeError
- set getset | inst base.set AttributeError
- getset - | base.get(o,S) base.set AttributeError
- getset plain | base.get(o,S) base.set AttributeError
- getset getset | base.get(o,S) base.set AttributeError
plain - - | sub stored AttributeError
plain - plain | inst stored removed
plain - getset | inst stored removed
plain plain - | sub stored AttributeError
plain plain plain | inst stored removed
plain plain getset | inst stored removed
plain get - | sub stored AttributeError
plain get plain | inst stored removed
plain get getset | inst stored removed
plain set - | sub stored AttributeError
plain set plain | inst stored removed
plain set getset | inst stored removed
plain getset - | sub stored AttributeError
plain getset plain | inst stored removed
plain getset getset | inst stored removed
get - - | sub.get(o,S) stored AttributeError
get - plain | inst stored removed
get - getset | inst stored removed
get plain - | sub.get(o,S) stored AttributeError
get plain plain | inst stored removed
get plain getset | inst stored removed
get get - | sub.get(o,S) stored AttributeError
get get plain | inst stored removed
get get getset | inst stored removed
get set - | sub.get(o,S) stored AttributeError
get set plain | inst stored removed
get set getset | inst stored removed
get getset - | sub.get(o,S) stored AttributeError
get getset plain | inst stored removed
get getset getset | inst stored removed
set - - | sub sub.set AttributeError
set - plain | inst sub.set AttributeError
set - getset | inst sub.set AttributeError
set plain - | sub sub.set AttributeError
set plain plain | inst sub.set AttributeError
set plain getset | inst sub.set AttributeError
set get - | sub sub.set AttributeError
set get plain | inst sub.set AttributeError
set get getset | inst sub.set AttributeError
set set - | sub sub.set AttributeError
set set plain | inst sub.set AttributeError
set set getset | inst sub.set AttributeError
set getset - | sub sub.set AttributeError
set getset plain | inst sub.set AttributeError
set getset getset | inst sub.set AttributeError
delete - - | sub AttributeError sub.delete
delete - plain | inst AttributeError sub.delete
delete - getset | inst AttributeError sub.delete
delete plain - | sub AttributeError sub.delete
delete plain plain | inst AttributeError sub.delete
delete plain getset | inst AttributeError sub.delete
delete get - | sub AttributeError sub.delete
delete get plain | inst AttributeError sub.delete
delete get getset | inst AttributeError sub.delete
delete set - | sub AttributeError sub.delete
delete set plain | inst AttributeError sub.delete
delete set getset | inst AttributeError sub.delete
delete getset - | sub AttributeError sub.delete
delete getset plain | inst AttributeError sub.delete
delete getset getset | inst AttributeError sub.delete
getset - - | sub.get(o,S) sub.set AttributeError
getset - plain | sub.get(o,S) sub.set AttributeError
getset - getset | sub.get(o,S) sub.set AttributeError
getset plain - | sub.get(o,S) sub.set AttributeError
getset plain plain | sub.get(o,S) sub.set AttributeError
getset plain getset | sub.get(o,S) sub.set AttributeError
getset get - | sub.get(o,S) sub.set AttributeError
getset get plain | sub.get(o,S) sub.set AttributeError
getset get getset | sub.get(o,S) sub.set AttributeError
getset set - | sub.get(o,S) sub.set AttributeError
getset set plain | sub.get(o,S) sub.set AttributeError
getset set getset | sub.get(o,S) sub.set AttributeError
getset getset - | sub.get(o,S) sub.set AttributeError
getset getset plain | sub.get(o,S) sub.set AttributeError
getset getset getset | sub.get(o,S) sub.set AttributeError
getdelete - - | sub.get(o,S) AttributeError sub.delete
getdelete - plain | sub.get(o,S) AttributeError sub.delete
getdelete - getset | sub.get(o,S) AttributeError sub.delete
getdelete plain - | sub.get(o,S) AttributeError sub.delete
getdelete plain plain | sub.get(o,S) AttributeError sub.delete
getdelete plain getset | sub.get(o,S) AttributeError sub.delete
getdelete get - | sub.get(o,S) AttributeError sub.delete
getdelete get plain | sub.get(o,S) AttributeError sub.delete
getdelete get getset | sub.get(o,S) AttributeError sub.delete
getdelete set - | sub.get(o,S) AttributeError sub.delete
getdelete set plain | sub.get(o,S) AttributeError sub.delete
getdelete set getset | sub.get(o,S) AttributeError sub.delete
getdelete getset - | sub.get(o,S) AttributeError sub.delete
getdelete getset plain | sub.get(o,S) AttributeError sub.delete
getdelete getset getset | sub.get(o,S) AttributeError sub.delete
`;

/** meta sub base | S.x, S.x = new, del S.x */
export const ON_A_CLASS = `
- - - | AttributeError stored AttributeError
- - plain | base stored AttributeError
- - getset | base.get(-,S) stored AttributeError
- plain - | sub stored removed
- plain plain | sub stored removed
- plain getset | sub stored removed
- get - | sub.get(-,S) stored removed
- get plain | sub.get(-,S) stored removed
- get getset | sub.get(-,S) stored removed
- set - | sub stored removed
- set plain | sub stored removed
- set getset | sub stored removed
- delete - | sub stored removed
- delete plain | sub stored removed
- delete getset | sub stored removed
- getset - | sub.get(-,S) stored removed
- getset plain | sub.get(-,S) stored removed
- getset getset | sub.get(-,S) stored removed
plain - - | meta stored AttributeError
plain - plain | base stored AttributeError
plain - getset | base.get(-,S) stored AttributeError
plain plain - | sub stored removed
plain plain plain | sub stored removed
plain plain getset | sub stored removed
plain get - | sub.get(-,S) stored removed
plain get plain | sub.get(-,S) stored removed
plain get getset | sub.get(-,S) stored removed
plain set - | sub stored removed
plain set plain | sub stored removed
plain set getset | sub stored removed
plain delete - | sub stored removed
plain delete plain | sub stored removed
plain delete getset | sub stored removed
plain getset - | sub.get(-,S) stored removed
plain getset plain | sub.get(-,S) stored removed
plain getset getset | sub.get(-,S) stored removed
get - - | meta.get(o,M) stored AttributeError
get - plain | base stored AttributeError
get - getset | base.get(-,S) stored AttributeError
get plain - | sub stored removed
get plain plain | sub stored removed
get plain getset | sub stored removed
get get - | sub.get(-,S) stored removed
get get plain | sub.get(-,S) stored removed
get get getset | sub.get(-,S) stored removed
get set - | sub stored removed
get set plain | sub stored removed
get set getset | sub stored removed
get delete - | sub stored removed
get delete plain | sub stored removed
get delete getset | sub stored removed
get getset - | sub.get(-,S) stored removed
get getset plain | sub.get(-,S) stored removed
get getset getset | sub.get(-,S) stored removed
set - - | meta meta.set AttributeError
set - plain | base meta.set AttributeError
set - getset | base.get(-,S) meta.set AttributeError
set plain - | sub meta.set AttributeError
set plain plain | sub meta.set AttributeError
set plain getset | sub meta.set AttributeError
set get - | sub.get(-,S) meta.set AttributeError
set get plain | sub.get(-,S) meta.set AttributeError
set get getset | sub.get(-,S) meta.set AttributeError
set set - | sub meta.set AttributeError
set set plain | sub meta.set AttributeError
set set getset | sub meta.set AttributeError
set delete - | sub meta.set AttributeError
set delete plain | sub meta.set AttributeError
set delete getset | sub meta.set AttributeError
set getset - | sub.get(-,S) meta.set AttributeError
set getset plain | sub.get(-,S) meta.set AttributeError
set getset getset | sub.get(-,S) meta.set AttributeError
delete - - | meta AttributeError meta.delete
delete - plain | base AttributeError meta.delete
delete - getset | base.get(-,S) AttributeError meta.delete
delete plain - | sub AttributeError meta.delete
delete plain plain | sub AttributeError meta.delete
delete plain getset | sub AttributeError meta.delete
delete get - | sub.get(-,S) AttributeError meta.delete
delete get plain | sub.get(-,S) AttributeError meta.delete
delete get getset | sub.get(-,S) AttributeError meta.delete
delete set - | sub AttributeError meta.delete
delete set plain | sub AttributeError meta.delete
delete set getset | sub AttributeError meta.delete
delete delete - | sub AttributeError meta.delete
delete delete plain | sub AttributeError meta.delete
delete delete getset | sub AttributeError meta.delete
delete getset - | sub.get(-,S) AttributeError meta.delete
delete getset plain | sub.get(-,S) AttributeError meta.delete
delete getset getset | sub.get(-,S) AttributeError meta.delete
getset - - | meta.get(o,M) meta.set AttributeError
getset - plain | meta.get(o,M) meta.set AttributeError
getset - getset | meta.get(o,M) meta.set AttributeError
getset plain - | meta.get(o,M) meta.set AttributeError
getset plain plain | meta.get(o,M) meta.set AttributeError
getset plain getset | meta.get(o,M) meta.set AttributeError
getset get - | meta.get(o,M) meta.set AttributeError
getset get plain | meta.get(o,M) meta.set AttributeError
getset get getset | meta.get(o,M) meta.set AttributeError
getset set - | meta.get(o,M) meta.set AttributeError
getset set plain | meta.get(o,M) meta.set AttributeError
getset set getset | meta.get(o,M) meta.set AttributeError
getset delete - | meta.get(o,M) meta.set AttributeError
getset delete plain | meta.get(o,M) meta.set AttributeError
getset delete getset | meta.get(o,M) meta.set AttributeError
getset getset - | meta.get(o,M) meta.set AttributeError
getset getset plain | meta.get(o,M) meta.set AttributeError
getset getset getset | meta.get(o,M) meta.set AttributeError
getdelete - - | meta.get(o,M) AttributeError meta.delete
getdelete - plain | meta.get(o,M) AttributeError meta.delete
getdelete - getset | meta.get(o,M) AttributeError meta.delete
getdelete plain - | meta.get(o,M) AttributeError meta.delete
getdelete plain plain | meta.get(o,M) AttributeError meta.delete
getdelete plain getset | meta.get(o,M) AttributeError meta.delete
getdelete get - | meta.get(o,M) AttributeError meta.delete
getdelete get plain | meta.get(o,M) AttributeError meta.delete
getdelete get getset | meta.get(o,M) AttributeError meta.delete
getdelete set - | meta.get(o,M) AttributeError meta.delete
getdelete set plain | meta.get(o,M) AttributeError meta.delete
getdelete set getset | meta.get(o,M) AttributeError meta.delete
getdelete delete - | meta.get(o,M) AttributeError meta.delete
getdelete delete plain | meta.get(o,M) AttributeError meta.delete
getdelete delete getset | meta.get(o,M) AttributeError meta.delete
getdelete getset - | meta.get(o,M) AttributeError meta.delete
getdelete getset plain | meta.get(o,M) AttributeError meta.delete
getdelete getset getset | meta.get(o,M) AttributeError meta.delete
`;

/** classes with their bases | the order of resolution of the last one, without `object` */
export const ORDERS = `
A | A
A; B(A) | B A
A; B; C(A,B) | C A B
A; B(A); C(A); D(B,C) | D B C A
A; B; C(A,B); D(B,A); E(C,D) | TypeError
A; B(A); C(A,B) | TypeError
A; B; C; D(A,B); E(B,C); F(D,E) | F D A E B C
O; A(O); B(O); C(O); D(O); E(O); K1(A,B,C); K2(D,B,E); K3(D,A); Z(K1,K2,K3) | Z K1 K2 K3 D A B C E O
A; B(A); C(B); D(A); E(C,D) | E C B D A
A; B; C(B,A); D(A,B) | D A B
A; B; C(A,B); D(C,A); E(C,B); F(D,E) | F D E C A B
A; B(A); C(A); D(B); E(B,C); F(D,E) | F D E B C A
`;
