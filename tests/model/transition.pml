/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The transition of one patch of two functions in a process of three threads, one of
 * them with a signal handler: arming, dispatching, switching, reversing, settling,
 * restoring, giving back, and the death of the tool at every step.  The names are those of
 * src/transition/steps.c and machine.c.
 *
 * What is taken as given: an entry and a slot change with one store, and a processor that
 * runs the code meanwhile sees it before or after (redirect/entry.h); a thread that is
 * checked stands still; the record changes with one store (target/record.h).
 *
 * What is shown, for every interleaving:
 *   - one version: whatever is on a thread's stack at one time is of one version, also
 *     under a signal handler;
 *   - nothing freed runs: who is in a stub, a displaced copy or new code has it mapped;
 *   - every transition ends: there is no state in which the tool waits for ever, and where
 *     it ends nothing is left behind.
 *
 * tests/model/run checks it, and checks that each of the BUG_ variants is found wrong.
 */
#ifndef THREADS
#define THREADS 3
#endif
#define FUNCS 2

#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef TURNS
#define TURNS 1
#endif

mtype = { ORIG, GATE, NEW };             /* what stands at an entry */
mtype = { BELOW, STUB, STRAIGHT };       /* where a gate's slot leads */
mtype = { NONE, LOADING, ENABLING, APPLIED, DISABLING, RESTORING, UNLOADING };

mtype entry[FUNCS] = ORIG;
mtype slot[FUNCS] = BELOW;
bool patch_mapped, dispatch_mapped;
bool in_table[THREADS], patched[THREADS]; /* the dispatcher's table */
bool initial;                            /* the state of who is not in it */
mtype phase = NONE;                      /* the record's state of the patch */

/* What is on a thread's stack; a handler's frames count with its thread's. */
byte old_frames[THREADS], new_frames[THREADS];
byte at_entry[THREADS];                  /* at a gate, or not far into the dispatcher */
byte in_dispatcher[THREADS], in_copy[THREADS];
bool interrupted[THREADS];               /* its handler runs, not it */
byte running = THREADS;

#define one_version(t) assert(!(old_frames[t] && new_frames[t]))
#define in_stubs(t) (at_entry[t] || in_dispatcher[t] || in_copy[t])
#define state_of(t) (in_table[t] -> patched[t] : initial)

/*
 * May it be switched?  Who is at an entry has not begun to look for its state, and will
 * find the new one (transition/check.c, translate); who has looked may have passed by.
 */
#ifdef BUG_UNDO_LATE
#define is_clear(t, to) (!in_copy[t] && !(to -> old_frames[t] : new_frames[t]))
#else
#define is_clear(t, to) (!in_dispatcher[t] && !in_copy[t] && \
			 !(to -> old_frames[t] : new_frames[t]))
#endif

/*
 * A call of function f by thread t (in its handler if h): from the entry, one instruction
 * at a time, into the version that runs; is_new is that one.
 */
inline call(t, h, f, is_new)
{
	atomic {
		h == interrupted[t];
		if
		:: entry[f] == ORIG -> old_frames[t]++; is_new = false; where = 3
		:: entry[f] == NEW -> assert(patch_mapped); new_frames[t]++;
			is_new = true; where = 3
		:: entry[f] == GATE -> at_entry[t]++; where = 0
		fi;
		one_version(t)
	}
	if
	:: where == 0 ->
		atomic {
			h == interrupted[t];
			assert(patch_mapped);
			if
			:: slot[f] == BELOW -> at_entry[t]--; in_copy[t]++; old_frames[t]++;
				is_new = false; where = 2
			:: slot[f] == STRAIGHT -> at_entry[t]--; new_frames[t]++;
				is_new = true; where = 3
			:: slot[f] == STUB -> where = 1
			fi;
			one_version(t)
		}
	:: else
	fi;
	if
	:: where == 1 ->
		/* It looks for its place, reads the state, and a moment later jumps. */
		atomic {
			h == interrupted[t];
			assert(dispatch_mapped);
			at_entry[t]--;
			in_dispatcher[t]++;
			is_new = in_table[t]
		}
		atomic {
			h == interrupted[t];
			assert(dispatch_mapped);
			is_new = (is_new -> patched[t] : initial)
		}
		atomic {
			h == interrupted[t];
			assert(dispatch_mapped);
			in_dispatcher[t]--;
			if
			:: is_new -> new_frames[t]++; where = 3
			:: else -> in_copy[t]++; old_frames[t]++; where = 2
			fi;
			one_version(t)
		}
	:: else
	fi;
	if
	:: where == 2 ->
		atomic {
			h == interrupted[t];
			assert(patch_mapped);
			in_copy[t]--
		}
	:: else
	fi
}

inline leave(t, h, is_new)
{
	atomic {
		h == interrupted[t];
		if
		:: is_new -> assert(patch_mapped); new_frames[t]--
		:: else -> old_frames[t]--
		fi
	}
}

/* The first function calls the second: a chain that must be of one version. */
proctype thread(byte t)
{
	bool outer, inner;
	byte where;

	call(t, false, 0, outer);
	call(t, false, 1, inner);
	leave(t, false, inner);
	leave(t, false, outer);
	atomic { running--; outer = false; inner = false; where = 0 }
}

/* One that calls only the second. */
proctype short_thread(byte t)
{
	bool inner;
	byte where;

	call(t, false, 1, inner);
	leave(t, false, inner);
	atomic { running--; inner = false; where = 0 }
}

/* It may come at any time, over whatever its thread is doing, and calls the second. */
proctype handler(byte t)
{
	bool inner;
	byte where;

	if
	:: atomic { running > 0 -> interrupted[t] = true };
		call(t, true, 1, inner);
		leave(t, true, inner);
		atomic { interrupted[t] = false; inner = false; where = 0 }
	:: atomic { running == 0 -> skip }
	fi
}

/* ---- the tool ----------------------------------------------------------------- */

byte deaths = DEATHS, turns = TURNS;

/* The tool may die here; another one comes and finds what the record says. */
#define step if :: deaths > 0 -> deaths--; goto again :: skip fi

inline arm()
{
	i = 0;
	do
	:: i < FUNCS ->
		slot[i] = STUB; step;
		entry[i] = GATE; step;
		i++
	:: else -> break
	od
}

/* Each thread on its own, when its stack holds nothing of what goes out of use. */
inline switch_to(to)
{
	i = 0;
	do
	:: i < THREADS ->
		if
#ifdef BUG_SWITCH_UNCHECKED
		:: atomic { patched[i] = to; in_table[i] = true }
#else
		:: atomic { state_of(i) == to || is_clear(i, to) ->
			patched[i] = to; in_table[i] = true }
#endif
		:: turns > 0 -> turns--; turned = true; break
		fi;
		step;
		i++
	:: else -> break
	od
}

inline new_table(state)
{
	atomic {
		i = 0;
		do
		:: i < THREADS -> in_table[i] = false; patched[i] = false; i++
		:: else -> break
		od;
		initial = state
	}
}

inline see_outside(new_too)
{
	i = 0;
	do
	:: i < THREADS ->
		atomic { !in_stubs(i) && !(new_too && new_frames[i]) -> skip };
		i++
	:: else -> break
	od
}

active proctype tool()
{
	byte i;
	bool turned, disabled;

again:
	turned = false;
	i = 0;
	if
	:: phase == NONE && !disabled ->
		phase = LOADING; step;
		patch_mapped = true; dispatch_mapped = true; step;
		new_table(false);
		phase = ENABLING; step;
		goto again
	:: phase == LOADING ->
		/* Nothing leads there: taken back, and begun anew. */
		dispatch_mapped = false; patch_mapped = false; phase = NONE;
		goto again
	:: phase == ENABLING ->
#ifdef BUG_SETTLE_EARLY
		slot[0] = STRAIGHT;
		entry[0] = GATE;
#endif
		arm();
		switch_to(true);
		if
		:: turned -> phase = DISABLING; step
		:: else -> initial = true; step; phase = APPLIED; step
		fi;
		goto again
	:: phase == APPLIED && dispatch_mapped ->
		i = 0;
		do
		:: i < FUNCS ->
			slot[i] = STRAIGHT; step;
			entry[i] = NEW; step;
			i++
		:: else -> break
		od;
#ifndef BUG_NOT_SEEN_OUTSIDE
		see_outside(false);
#endif
		dispatch_mapped = false; step;
		goto again
	:: phase == APPLIED && !dispatch_mapped ->
		new_table(true);
		dispatch_mapped = true;
		phase = DISABLING; step;
		goto again
	:: phase == DISABLING ->
		arm();
		switch_to(false);
		if
		:: turned -> phase = ENABLING; step
		:: else -> initial = false; step; phase = RESTORING; step
		fi;
		goto again
	:: phase == RESTORING ->
		i = 0;
		do
		:: i < FUNCS ->
#ifdef BUG_ENTRY_FIRST
			entry[i] = ORIG; step;
			i++
		:: else -> break
		od;
		patch_mapped = false; dispatch_mapped = false;
#else
			slot[i] = BELOW; step;
			entry[i] = ORIG; step;
			i++
		:: else -> break
		od;
		see_outside(true);
#endif
		phase = UNLOADING; step;
		dispatch_mapped = false; step;
		patch_mapped = false; step;
		disabled = true;
		phase = NONE;
		goto again
	:: phase == UNLOADING ->
		dispatch_mapped = false;
		patch_mapped = false;
		disabled = true;
		phase = NONE;
		goto again
	:: phase == NONE && disabled
	fi;
	assert(entry[0] == ORIG && entry[1] == ORIG && !patch_mapped && !dispatch_mapped)
}

init {
	atomic {
		run thread(0);
		run thread(1);
		run short_thread(2);
		run handler(0)
	}
}
