/* ctx_aarch64.S - see ctx.h: the layout of a stack put away, and why no ret.
 *
 * The unwind tables are right at each instruction. Their "frame" is that of the
 * function that branched here: CFA is its sp. After the stacks change they are
 * right for the other stack, since all are put away in one layout.
 */
#if defined(__aarch64__) && !defined(THRUM_CTX_UCONTEXT)

        .text

/* x0: struct ctx *from, x1: struct ctx *to, x2: where to go on in from. The
 * floating-point registers are saved by the function that branched here. */
        .globl  ctx_switch_to
        .hidden ctx_switch_to
        .type   ctx_switch_to, %function
        .p2align 4
ctx_switch_to:
        .cfi_startproc
        .cfi_def_cfa sp, 0
        .cfi_return_column x30
        .cfi_register x30, x2
        ldr     x4, [x1]                /* first: ctx_x86_64.S says why */
        stp     x19, x20, [sp, #-96]!
        .cfi_def_cfa_offset 96
        .cfi_offset x19, -96
        .cfi_offset x20, -88
        stp     x21, x22, [sp, #16]
        .cfi_offset x21, -80
        .cfi_offset x22, -72
        stp     x23, x24, [sp, #32]
        .cfi_offset x23, -64
        .cfi_offset x24, -56
        stp     x25, x26, [sp, #48]
        .cfi_offset x25, -48
        .cfi_offset x26, -40
        stp     x27, x28, [sp, #64]
        .cfi_offset x27, -32
        .cfi_offset x28, -24
        stp     x29, x2, [sp, #80]
        .cfi_offset x29, -16
        .cfi_offset x30, -8

        mov     x3, sp
        str     x3, [x0]
        mov     sp, x4

        ldp     x29, x2, [sp, #80]
        .cfi_same_value x29
        .cfi_register x30, x2
        ldp     x27, x28, [sp, #64]
        .cfi_same_value x27
        .cfi_same_value x28
        ldp     x25, x26, [sp, #48]
        .cfi_same_value x25
        .cfi_same_value x26
        ldp     x23, x24, [sp, #32]
        .cfi_same_value x23
        .cfi_same_value x24
        ldp     x21, x22, [sp, #16]
        .cfi_same_value x21
        .cfi_same_value x22
        ldp     x19, x20, [sp], #96
        .cfi_same_value x19
        .cfi_same_value x20
        .cfi_def_cfa_offset 0
        br      x2
        .cfi_endproc
        .size   ctx_switch_to, . - ctx_switch_to

/* x0: struct ctx *from, x1: struct ctx *to. Unlike the compiler in a function
 * that switches, it has to save what a call preserves of d8 to d15. */
        .globl  ctx_swap
        .hidden ctx_swap
        .type   ctx_swap, %function
        .p2align 4
ctx_swap:
        .cfi_startproc
        stp     d8, d9, [sp, #-80]!
        .cfi_def_cfa_offset 80
        .cfi_offset b8, -80
        .cfi_offset b9, -72
        stp     d10, d11, [sp, #16]
        .cfi_offset b10, -64
        .cfi_offset b11, -56
        stp     d12, d13, [sp, #32]
        .cfi_offset b12, -48
        .cfi_offset b13, -40
        stp     d14, d15, [sp, #48]
        .cfi_offset b14, -32
        .cfi_offset b15, -24
        str     x30, [sp, #64]
        .cfi_offset x30, -16
        adr     x2, 1f
        b       ctx_switch_to
1:      ldp     d10, d11, [sp, #16]
        ldp     d12, d13, [sp, #32]
        ldp     d14, d15, [sp, #48]
        ldr     x16, [sp, #64]
        .cfi_register x30, x16
        ldp     d8, d9, [sp], #80
        .cfi_def_cfa_offset 0
        mov     w0, wzr
        br      x16
        .cfi_endproc
        .size   ctx_swap, . - ctx_swap

/* The outermost frame of a made stack. x19: entry, x20: its argument, x29: 0,
 * sp: 16-aligned. x30 is cleared so that no walker finds the maker's. A new
 * stack begins after the nop, because an unwinder looks up the address before
 * the one it returns to. */
        .type   ctx_start, %function
        .globl  ctx_start
        .hidden ctx_start
        .p2align 4
ctx_start:
        .cfi_startproc
        .cfi_def_cfa sp, 0
        .cfi_undefined x30
        nop
        mov     x30, xzr
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   ctx_start, . - ctx_start

#endif

        .section .note.GNU-stack, "", %progbits
