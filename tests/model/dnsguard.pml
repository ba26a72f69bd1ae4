/* The protocol for spin, in the shape of the published models of the incident: plans by number, alias targets that
 * exist or not, one name server, enactors that all do the same, a clean-up. -DGUARDED=0 is the October system.
 *
 * Guarded, a publication is two messages (build the node, flip the alias), each with the fence as prerequisite, and
 * the fence says how far it got; clean-up reads the fence's base, lists the zone afterwards, and deletes what is up to
 * that base and named by neither alias as listed; each deletion has both aliases as listed as prerequisites, and not
 * the fence. Unguarded, the check is made once, nothing travels with a message, and clean-up goes by age.
 *
 * Assumed: the name server takes a message whole or not at all; what is read there is what stands there. A message
 * may stay in flight for ever, arrive twice, or late; an enactor may crash before and after each of its steps. A
 * deletion that is late is a clean-up that takes its time; one that comes twice finds nothing, as no node is built again.
 * One name, bounded plans; `inductive.py` has no bounds. */
#ifndef GUARDED
#define GUARDED 1
#endif
#ifndef ENACTORS
#define ENACTORS 2
#endif
#ifndef PLANS
#define PLANS 4
#endif
#ifndef KEEP
#define KEEP 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
/* Whether an older plan over a newer one counts as found; without, only the empty answer does. */
#ifndef FORWARD
#define FORWARD 1
#endif
#ifndef LATE
#define LATE 1
#endif

byte newest, published;
byte generation, base;           /* the fence; under way if they differ, and then the node is built */
byte live, back;                 /* the two aliases, by generation; 0 for none */
bool node[PLANS + 1];
byte crashes, late;

/* Messages that nobody waits for any more: stage, what they expect of the fence, the target. */
#define BUILD 1
#define FLIP 2
chan air = [LATE + 1] of { byte, byte, byte, byte };

#define EMPTY (live != 0 && !node[live])
#define CONVERGED (generation == PLANS && base == PLANS && live == PLANS && published == PLANS && node[PLANS])

/* The name server takes a message, or refuses it. An alias to nothing is refused; unguarded, that goes for the
 * rollback too, which is the wedge. Guarded, a rollback to nothing is left out. */
inline arrive(stage, g, b, target, taken) {
  taken = (!GUARDED || (generation == g && base == b));
  if
  :: taken && stage == BUILD ->
       node[target] = true; printf("build %d\n", target);
       if :: GUARDED -> generation = target :: else -> skip fi
  :: taken && stage == FLIP ->
       taken = node[target] && (GUARDED || node[live]);
       if
       :: taken ->
            printf("flip %d to %d\n", live, target);
            assert(!FORWARD || target >= live);
            if :: live != target -> back = (node[live] -> live : 0) :: else -> skip fi;
            live = target; generation = target; base = target
       :: else -> skip
       fi
  :: else -> skip
  fi
}

/* An enactor sends a message: the answer comes; or nothing comes, and the message stays in the air, a first copy of
 * it perhaps taken. */
inline send(stage, g, b, target, taken) {
  atomic {
    if
    :: arrive(stage, g, b, target, taken)
    :: late < LATE -> late++; air ! stage, g, b, target; taken = false
    :: late < LATE -> late++; air ! stage, g, b, target; arrive(stage, g, b, target, taken); taken = false
    fi
  }
}

inline perhaps_crash() {
  if :: atomic { crashes < CRASHES -> crashes++; goto idle } :: skip fi
}

proctype Planner() {
  do
  :: newest < PLANS -> atomic { newest++; printf("latest is %d\n", newest) }
  :: else -> break
  od
}

proctype Air() {
  byte stage, g, b, target; bool taken;
end:
  do
  :: atomic {
       air ? stage, g, b, target;
       if :: arrive(stage, g, b, target, taken) :: skip fi;
       if :: air ! stage, g, b, target :: skip fi;
       stage = 0; g = 0; b = 0; target = 0; taken = false
     }
  od
}

proctype Enactor() {
  byte g, b, target; bool taken;
idle:
  atomic { g = 0; b = 0; target = 0; taken = false };
end:
  do
  :: atomic {
       (GUARDED -> generation != newest || base != newest || published != newest : newest > live);
       g = generation; b = base;
       if :: GUARDED -> skip :: else -> target = newest fi
     };
     if :: GUARDED -> target = newest :: else -> skip fi;
     if
     :: GUARDED && g == target && b == target -> goto record
     :: GUARDED && g == target && b != target -> skip   /* built already, by whomever */
     :: !GUARDED || g != target ->
          send(BUILD, g, b, target, taken);
          if :: taken -> g = (GUARDED -> target : g) :: else -> goto idle fi
     fi;
     perhaps_crash();
     send(FLIP, g, b, target, taken);
     if :: taken -> skip :: else -> goto idle fi;
     perhaps_crash();
record:
     atomic { if :: target > published -> published = target :: else -> skip fi };
     goto idle
  od
}

proctype Cleanup() {
  byte b, i, lw, lb;
end:
  do
  :: atomic { base > KEEP -> b = (GUARDED -> base : base - KEEP); i = 1 };
     atomic { lw = live; lb = back };   /* the listing, later than the reading of the base */
     do
     :: i <= b ->
          atomic {
            if
            :: !GUARDED || (i != lw && i != lb && live == lw && back == lb) ->
                 node[i] = false; printf("clean %d\n", i);
                 assert(!EMPTY);
                 assert(!GUARDED || back == 0 || node[back])
            :: else -> skip
            fi;
            i++
          }
     :: else -> break
     od;
     atomic { b = 0; i = 0; lw = 0; lb = 0 }
  od
}

init {
  byte i;
  atomic {
    newest = 1; published = 1; generation = 1; base = 1; live = 1; node[1] = true;
    run Planner(); run Air(); run Cleanup();
    for (i : 1 .. ENACTORS) { run Enactor() }
    i = 0
  }
}

ltl converges { <> [] CONVERGED }
