/* ctx_x86_64.S - see ctx.h: the layout of a stack put away, and why no ret.
 *
 * The unwind tables are right at each instruction. Their "frame" is that of the
 * function that jumped here: CFA is its rsp. After the stacks change they are
 * right for the other stack, since all are put away in one layout.
 */
#if defined(__x86_64__) && !defined(THRUM_CTX_UCONTEXT)

        .text

/* rdi: struct ctx *from, rsi: struct ctx *to, rax: where to go on in from. */
        .globl  ctx_switch_to
        .hidden ctx_switch_to
        .type   ctx_switch_to, @function
        .p2align 4
ctx_switch_to:
        .cfi_startproc
        .cfi_def_cfa rsp, 0
        .cfi_register rip, rax
        movq    (%rsi), %rcx            /* first: stacks lie alike, and a load
                                           would be taken for one of what is
                                           stored below, 4 KiB off */
        leaq    -128(%rsp), %rsp        /* the function may use its red zone */
        .cfi_def_cfa_offset 128
        pushq   %rax
        .cfi_def_cfa_offset 136
        .cfi_offset rip, -136
        pushq   %rbp
        .cfi_def_cfa_offset 144
        .cfi_offset rbp, -144
        pushq   %rbx
        .cfi_def_cfa_offset 152
        .cfi_offset rbx, -152
        pushq   %r12
        .cfi_def_cfa_offset 160
        .cfi_offset r12, -160
        pushq   %r13
        .cfi_def_cfa_offset 168
        .cfi_offset r13, -168
        pushq   %r14
        .cfi_def_cfa_offset 176
        .cfi_offset r14, -176
        pushq   %r15
        .cfi_def_cfa_offset 184
        .cfi_offset r15, -184

        movq    %rsp, (%rdi)
        movq    %rcx, %rsp

        popq    %r15
        .cfi_def_cfa_offset 176
        .cfi_same_value r15
        popq    %r14
        .cfi_def_cfa_offset 168
        .cfi_same_value r14
        popq    %r13
        .cfi_def_cfa_offset 160
        .cfi_same_value r13
        popq    %r12
        .cfi_def_cfa_offset 152
        .cfi_same_value r12
        popq    %rbx
        .cfi_def_cfa_offset 144
        .cfi_same_value rbx
        popq    %rbp
        .cfi_def_cfa_offset 136
        .cfi_same_value rbp
        popq    %rcx
        .cfi_def_cfa_offset 128
        .cfi_register rip, rcx
        subq    $-128, %rsp
        .cfi_def_cfa_offset 0
        xorl    %eax, %eax              /* what ctx_swap returns */
        jmpq    *%rcx
        .cfi_endproc
        .size   ctx_switch_to, . - ctx_switch_to

/* rdi: struct ctx *from, rsi: struct ctx *to. Its frame is gone at once: what is
 * put away is its caller, at the place where it returns. */
        .globl  ctx_swap
        .hidden ctx_swap
        .type   ctx_swap, @function
        .p2align 4
ctx_swap:
        .cfi_startproc
        popq    %rax
        .cfi_def_cfa rsp, 0
        .cfi_register rip, rax
        jmp     ctx_switch_to
        .cfi_endproc
        .size   ctx_swap, . - ctx_swap

/* The outermost frame of a made stack. rbx: entry, r12: its argument, rbp: 0,
 * rsp: 16-aligned, above it a return address of 0. A new stack begins after the
 * nop, because an unwinder looks up the address before the one it returns to. */
        .type   ctx_start, @function
        .globl  ctx_start
        .hidden ctx_start
        .p2align 4
ctx_start:
        .cfi_startproc
        .cfi_def_cfa rsp, 8
        .cfi_undefined rip
        nop
        movq    %r12, %rdi
        call    *%rbx
        ud2
        .cfi_endproc
        .size   ctx_start, . - ctx_start

#endif

        .section .note.GNU-stack, "", %progbits
